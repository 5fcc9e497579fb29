"""Visual prompt tuning: learned tokens among those of the image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Anatomy, Block, Site
from ...errors import ModelError, check_choice, check_whole
from ..config import AdapterConfig
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from ..sites import AddsTokens, kinds_for, wrappers_over
from .convpass import ConvpassLayer
from .shared_parallel import StreamLayer

Depth = Literal["shallow", "deep"]


@dataclass(frozen=True, kw_only=True)
class PromptConfig(AdapterConfig):
    """`length` learned tokens between the class token and the patches (VPT, Jia et al., arXiv 2203.12119).

    They start as U(-v, v), v = sqrt(6 / (patch inputs + d)), and change the outputs at once. Blocks see p more tokens,
    so the cost of a step grows. Only for models that see an image as tokens.

    Attributes:
        length: p.
        depth: "shallow": they enter before the first of the blocks, pass through all and leave after the last; p d
            parameters. "deep": every block has its own, put in before it and taken off after it; p d parameters each.
        dropout: on the prompts, in training.
    """

    length: int = 10
    depth: Depth = "deep"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("depth", self.depth, get_args(Depth))
        check_whole("length", self.length)

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """A wrapper around each block, or for "shallow" around the first and the last.

        Args:
            anatomy: the model.
            generator: draws the prompts.

        Raises:
            ModelError: the model does not see an image as tokens, has positions for its patches alone, or carries
                Convpass adapters, which convolve the patches.
        """
        if anatomy.prefix_tokens is None:
            raise ModelError(
                f"{type(anatomy.model).__name__} does not see an image as tokens: use PrefixConfig for a language "
                f"model, else {kinds_for(*anatomy.blocks)}"
            )
        for layer in anatomy.model.modules():
            if isinstance(layer, ConvpassLayer):
                raise ModelError(
                    f"prompts would lie among the patches that adapters {layer.owner!r} (Convpass) convolve"
                )
        if not anatomy.further_tokens:
            raise ModelError(
                f"each attention of this {type(anatomy.model).__name__} has positions for its patches alone: use "
                "BottleneckConfig or LoRAConfig"
            )
        bound = math.sqrt(6 / (_patch_inputs(anatomy) + anatomy.width))
        blocks = _with_own_sites(self.chosen(anatomy))
        for block in blocks:
            enters = self.depth == "deep" or block is blocks[0]
            leaves = self.depth == "deep" or block is blocks[-1]
            if not enters and not leaves:
                continue
            _check_site(anatomy, block)
            prompts = self._draw(block, anatomy.width, bound, generator) if enters else None
            off = self.length if leaves else 0
            yield block.site, PromptLayer(block.site.get(), prompts, self.dropout, anatomy.prefix_tokens, off)

    def _draw(self, block: Block, width: int, bound: float, generator: torch.Generator) -> nn.Parameter:
        like = next(block.site.get().parameters())
        values = torch.empty(self.length, width).uniform_(-bound, bound, generator=generator)
        return nn.Parameter(values.to(like.device, adapter_dtype(like)))


class PromptLayer(AddsTokens):
    """A block that gets prompts (p, d) at position `start`, and whose output loses `off` tokens there."""

    def __init__(
        self, base_layer: nn.Module, prompts: nn.Parameter | None, dropout: float, start: int, off: int
    ) -> None:
        super().__init__(base_layer)
        self.prompts = prompts
        self.dropout = nn.Dropout(dropout)
        self.start = start
        self.off = off

    def adapted(self, x_BTD: Tensor, *args: Any, **keywords: Any) -> Tensor:
        """The output of `base_layer` for tokens (batch, tokens, d) among which there are prompts."""
        if self.prompts is not None:
            prompts_BpD = self.prompts.to(x_BTD.dtype).expand(len(x_BTD), -1, -1)
            # No call of a module: torch's flop counter fails on one that gets a view of a parameter without gradients.
            prompts_BpD = F.dropout(prompts_BpD, self.dropout.p, self.dropout.training)
            x_BTD = torch.cat((x_BTD[:, : self.start], prompts_BpD, x_BTD[:, self.start :]), dim=1)
        x_BTD = self.base_layer(x_BTD, *args, **keywords)
        if self.off == 0:
            return x_BTD
        return torch.cat((x_BTD[:, : self.start], x_BTD[:, self.start + self.off :]), dim=1)


def _with_own_sites(blocks: tuple[Block, ...]) -> list[Block]:
    """The blocks, one of those that a model computes side by side in one module."""
    found: dict[int, Block] = {}
    for block in blocks:
        found.setdefault(id(block.site.get()), block)
    return list(found.values())


def _patch_inputs(anatomy: Anatomy) -> int:
    """Number of pixels and channels of a patch."""
    for site in anatomy.embeddings:
        embedding = site.get()
        modules = embedding.modules() if isinstance(embedding, nn.Module) else ()
        for module in modules:
            if isinstance(module, nn.Conv2d):
                return module.weight[0].numel()
    raise ModelError(f"{type(anatomy.model).__name__} does not make its patches by a convolution")


def _check_site(anatomy: Anatomy, block: Block) -> None:
    for wrapper in wrappers_over(anatomy.model, block.site):
        if isinstance(wrapper, StreamLayer):
            raise ModelError(f"{block.site.path}: attach prompts before adapters {wrapper.owner!r}, not inside them")
