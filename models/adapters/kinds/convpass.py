"""Convpass: a convolution over the image's patches beside the attention and the FFN of a ViT."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Anatomy, Block, Site
from ...errors import ModelError, check_choice
from ...sparsity.masked import MaskedConv2d, MaskedLinear
from ..config import RankConfig
from ..initialisation import STARTS_AS_NO_CHANGE, adapter_dtype, fill, initialise
from ..layer import AdapterLayer
from ..sites import AddsTokens
from .bottleneck import ACTIVATIONS

PARTS = ("attention", "mlp")


@dataclass(frozen=True, kw_only=True)
class ConvpassConfig(RankConfig):
    """f(z) + scale up(act(conv(act(down(z))))) for each attention and FFN f and its normalised input z.

    conv is 3x3 with zero padding on the grid of patches; each token before them (class token, registers) is an image
    of its own size 1x1 (Jie and Deng, arXiv 2207.07039). Each has 2 d r + r + d + 9 r^2 + r parameters. `parts` names
    what gets one. Where init ends in "zero_up" the convolution starts as the identity. The release has the activation
    "quick_gelu" and init="xavier_zero_up". Only for models that see a square image as tokens.
    """

    parts: tuple[str, ...] = PARTS
    activation: str = "gelu"
    scale: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        for part in self.parts:
            check_choice("parts", part, PARTS)

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """Wrappers around attention and FFN."""
        if anatomy.prefix_tokens is None:
            raise ModelError(
                f"{type(anatomy.model).__name__} does not see an image as tokens: use BottleneckConfig, or ConvConfig "
                "for a convolutional network"
            )
        prompted = [layer.owner for layer in anatomy.model.modules() if isinstance(layer, AddsTokens)]
        if prompted:
            raise ModelError(f"adapters {prompted[0]!r} put prompts among the patches that Convpass convolves")
        for block in self.chosen(anatomy):
            for site in self._sites(block):
                like = next(site.get().parameters())
                adapter = Convpass(anatomy.width, anatomy.prefix_tokens, self, generator)
                yield site, ConvpassLayer(site.get(), adapter.to(like.device, adapter_dtype(like)), self.scale)

    def _sites(self, block: Block) -> list[Site]:
        parts = [getattr(block, part) for part in PARTS if part in self.parts]
        return [part.site for part in parts if part is not None]


class Convpass(nn.Module):
    """up(act(conv(act(down(x))))) on tokens of which the first `prefix` are not of the image."""

    def __init__(self, width: int, prefix: int, config: ConvpassConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.prefix = prefix
        self.project_in, self.project_out = MaskedLinear(width, config.r), MaskedLinear(config.r, width)
        self.conv = MaskedConv2d(config.r, config.r, 3, padding=1)
        self.activation, self.dropout = ACTIVATIONS[config.activation](), nn.Dropout(config.dropout)
        initialise(self.project_in, self.project_out, config.init, generator)
        fill(self.conv, config.init, generator)
        if config.init in STARTS_AS_NO_CHANGE:
            nn.init.dirac_(self.conv.stored)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, prefix + side * side, width) to the same shape."""
        side = math.isqrt(x.shape[1] - self.prefix)
        if side * side + self.prefix != x.shape[1]:
            raise ModelError(f"{x.shape[1] - self.prefix} patches are not a square: Convpass needs a square image")
        low = self.activation(self.project_in(x))
        alone, patches = low[:, : self.prefix], low[:, self.prefix :]
        patches = self.conv(patches.mT.unflatten(2, (side, side))).flatten(2).mT
        centre, bias = self.conv.effective(low.dtype)[:, :, 1, 1], self.conv.bias
        assert bias is not None
        low = torch.cat((F.linear(alone, centre, bias.to(low.dtype)), patches), dim=1)
        return self.project_out(self.dropout(self.activation(low)))


class ConvpassLayer(AdapterLayer):
    """base(z) + scale A(z), where `base` may return more beside its output."""

    additive = True

    def __init__(self, base: nn.Module, adapter: Convpass, scale: float) -> None:
        super().__init__(base)
        self.adapter, self.scale = adapter, scale

    def adapted(self, x: Tensor, *args: Any, **keywords: Any) -> Any:
        """The output of `base` plus that of the adapter."""
        out, change = self.base(x, *args, **keywords), self.adapter(x) * self.scale
        return (out[0] + change, *out[1:]) if isinstance(out, tuple) else out + change
