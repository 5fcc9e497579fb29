"""Convpass: a convolution over the image's patches, parallel to the attention and the FFN of a ViT."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Anatomy, Block, Site, inner_sites
from ...errors import ModelError, check_choice
from ...sparsity.masked import MaskedConv2d, MaskedLinear
from ..config import RankConfig
from ..dropping import DropSamples, check_rate, rising
from ..initialisation import STARTS_AS_NO_CHANGE, adapter_dtype, fill, initialise
from ..layer import AdapterLayer
from ..sites import AddsTokens
from .bottleneck import ACTIVATIONS

ConvInit = Literal["identity", "xavier"]
PARTS = ("attention", "mlp")

# Shapes: B images, T tokens, P of them before the patches, N patches (H rows, W columns), R rank, D width.


@dataclass(frozen=True, kw_only=True)
class ConvpassConfig(RankConfig):
    """f(z) + scale up(act(conv(act(down(z))))) for each attention and FFN f and its normalised input z.

    conv is 3x3 with zero padding on the grid of patches, whatever its sides; each token before them (class token,
    registers) is an image of its own size 1x1 (Jie and Deng, arXiv 2207.07039). Each has 2 d r + r + d + 9 r^2 + r
    parameters. The release has the activation "quick_gelu", init="xavier_zero_up" and drop_path=0.1. Only for models
    that see an image as tokens.

    Attributes:
        parts: which of the attention and the FFN get one.
        activation: act, by its name.
        scale: factor of what is added.
        dropout: on the bottleneck, in training.
        drop_path: rate at which the last block drops f(z) and what is added to it, each for itself and sample by
            sample, in training; on a straight line to 0 at the first block.
        conv_init: the convolution starts as the "identity", where init ends in "zero_up", or by "xavier", whatever init
            is.
    """

    parts: tuple[str, ...] = PARTS
    activation: str = "gelu"
    scale: float = 1.0
    dropout: float = 0.0
    drop_path: float = 0.0
    conv_init: ConvInit = "identity"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate("dropout", self.dropout)
        check_rate("drop_path", self.drop_path)
        check_choice("conv_init", self.conv_init, get_args(ConvInit))
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        for part in self.parts:
            check_choice("parts", part, PARTS)

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """Wrappers around attention and FFN.

        Args:
            anatomy: the model.
            generator: draws what they start from.

        Raises:
            ModelError: the model does not see an image as tokens, or a block has no such part.
        """
        if anatomy.prefix_tokens is None:
            raise ModelError(
                f"{type(anatomy.model).__name__} does not see an image as tokens: use BottleneckConfig, or ConvConfig "
                "for a convolutional network"
            )
        prompted = [layer.owner for layer in anatomy.model.modules() if isinstance(layer, AddsTokens)]
        if prompted:
            raise ModelError(f"adapters {prompted[0]!r} put prompts among the patches that Convpass convolves")
        grid = PatchGrid(anatomy.grid)
        patches = patch_convolution(anatomy)
        if patches is not None:
            yield patches, PatchGridObserver(patches.get(), grid)
        for block in self.chosen(anatomy):
            rate = rising(self.drop_path, block.index, len(anatomy.blocks))
            for site in self._sites(block):
                like = next(site.get().parameters())
                adapter = Convpass(anatomy.width, anatomy.prefix_tokens, self, generator, grid)
                adapter.to(like.device, adapter_dtype(like))
                yield site, ConvpassLayer(site.get(), adapter, self.scale, rate)

    def _sites(self, block: Block) -> list[Site]:
        sites: list[Site] = []
        if "attention" in self.parts and block.attention is not None:
            sites.append(block.attention.site)
        if "mlp" in self.parts and block.mlp is not None:
            sites.append(block.mlp.site)
        return sites


class Convpass(nn.Module):
    """up(act(conv(act(down(x))))) on tokens of which the first `prefix` are not of the image.

    `grid` knows the sides of the image in patches; where it does not, the image is taken for a square.
    """

    def __init__(
        self,
        width: int,
        prefix: int,
        config: ConvpassConfig,
        generator: torch.Generator,
        grid: PatchGrid | None = None,
    ) -> None:
        super().__init__()
        self.prefix = prefix
        self.grid = PatchGrid(None) if grid is None else grid
        self.project_in = MaskedLinear(width, config.r)
        self.project_out = MaskedLinear(config.r, width)
        self.conv = MaskedConv2d(config.r, config.r, 3, padding=1)
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = nn.Dropout(config.dropout)
        initialise(self.project_in, self.project_out, config.init, generator)
        fill(self.conv, "xavier_zero_up" if config.conv_init == "xavier" else config.init, generator)
        if config.conv_init == "identity" and config.init in STARTS_AS_NO_CHANGE:
            nn.init.dirac_(self.conv.stored)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (batch, prefix + rows * columns, width) to the same shape. Raises `ModelError` for another number."""
        sides = self._sides(x_BTD.shape[1] - self.prefix)
        low_BTR = self.activation(self.project_in(x_BTD))
        alone_BPR = self._on_single_pixels(low_BTR[:, : self.prefix])
        image_BRHW = low_BTR[:, self.prefix :].mT.unflatten(2, sides)
        patches_BNR = self.conv(image_BRHW).flatten(2).mT
        low_BTR = torch.cat((alone_BPR, patches_BNR), dim=1)
        return self.project_out(self.dropout(self.activation(low_BTR)))

    def _sides(self, patches: int) -> tuple[int, int]:
        """Rows and columns of this many patches."""
        if self.grid.size is None:
            side = math.isqrt(patches)
            if side * side != patches:
                raise ModelError(f"{patches} patches are not a square, and the model does not say what grid they are")
            return side, side
        rows, columns = self.grid.size
        if rows * columns != patches:
            raise ModelError(
                f"{patches} patches are not the {rows} x {columns} grid of the image: Convpass needs all of them, so "
                "set the rate of dropped patches to 0"
            )
        return rows, columns

    def _on_single_pixels(self, tokens_BPR: Tensor) -> Tensor:
        """The convolution of images of one pixel: only the centre of the kernel meets anything but padding."""
        assert self.conv.bias is not None
        centre_RR = self.conv.effective(tokens_BPR.dtype)[:, :, 1, 1]
        return F.linear(tokens_BPR, centre_RR, self.conv.bias.to(tokens_BPR.dtype))


class ConvpassLayer(AdapterLayer):
    """base_layer(z) + scale A(z), where `base_layer` may return more than its output; both are dropped at a rate."""

    additive = True

    def __init__(self, base_layer: nn.Module, adapter: Convpass, scale: float, drop_path: float) -> None:
        super().__init__(base_layer)
        self.adapter = adapter
        self.scale = scale
        self.drop = DropSamples(drop_path)

    def adapted(self, *args: Any, **keywords: Any) -> Any:
        """The output of `base_layer` plus that of the adapter."""
        out = self.base_layer(*args, **keywords)
        x = args[0] if args else keywords["hidden_states"]  # as CLIP calls its attention
        rest: tuple[Any, ...] | None = None
        if isinstance(out, tuple):
            out, *others = out
            rest = tuple(others)
        out = self.drop(out)  # before the adapter's own random numbers, as in the release
        out = out + self.drop(self.adapter(x)) * self.scale
        return out if rest is None else (out, *rest)


class PatchGrid:
    """Rows and columns of the patches: of the images that passed last, before any of those the model was built for.

    `size` is None where the model does not say and no image has passed.
    """

    def __init__(self, size: tuple[int, int] | None) -> None:
        self.size = size


class PatchGridObserver(AdapterLayer):
    """The convolution that makes the patches. Notes in `grid` how many it makes, and changes nothing."""

    observes = True

    def __init__(self, base_layer: nn.Module, grid: PatchGrid) -> None:
        super().__init__(base_layer)
        self.grid = grid

    def forward(self, *args: Any, **keywords: Any) -> Tensor:
        """The patches (batch, width, rows, columns), also where the set is disabled."""
        patches_BDHW = self.base_layer(*args, **keywords)
        self.grid.size = (patches_BDHW.shape[-2], patches_BDHW.shape[-1])
        return patches_BDHW


def patch_convolution(anatomy: Anatomy) -> Site | None:
    """Where the convolution lies whose outputs are the patches: the last one of the embeddings."""
    found = None
    for site in anatomy.embeddings:
        embedding = site.get()
        if not isinstance(embedding, nn.Module):
            continue
        for inner in inner_sites(embedding, path=site.path):
            if isinstance(inner.get(), nn.Conv2d):
                found = inner
    return found
