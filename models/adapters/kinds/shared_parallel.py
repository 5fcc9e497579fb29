"""Bottleneck adapters on the un-normalised residual stream of pre-norm blocks: iDAT, GIST, AdaptFormer, Adapter+."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ...anatomy import Block, Site
from ...errors import ModelError, check_choice
from ..config import RankConfig
from ..dropping import DropSamples, check_rate
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from ..sites import kinds_for
from .bottleneck import ACTIVATIONS, Bottleneck, BottleneckConfig, scaled

StreamPlacement = Literal["shared", "ffn", "after"]


@dataclass(frozen=True, kw_only=True)
class StreamConfig(RankConfig):
    """A(x) = up(act(down(x))) once per block, of x itself and not of its norm; 2 d r + r + d parameters.

    In a block x <- x + f(x), x <- x + g(x), where f and g are everything from the norm to the drop path:
    "shared": x <- x + f(x) + scale A(x), then x <- x + g(x) + scale A(x), the same A ("gist_shared_par_adapter" of
    iDAT, Ruan et al., arXiv 2403.15750).
    "ffn": x <- x + f(x), then x <- x + g(x) + scale A(x) (AdaptFormer as released, Chen et al., arXiv 2205.13535;
    "adaptformer" of iDAT).
    "after": x <- x + f(x), x <- x + g(x), then x <- x + scale A(x) ("gist_seq_adapter" of iDAT; Adapter+, Steitz and
    Roth, arXiv 2406.06820).

    `scale`: a number, or "channel": d learned ones that start at 1. `dropout` acts on act(down(x)), `drop_path` is the
    rate at which the whole A(x) of a sample is dropped, both in training (Adapter+: 0.1 in every block). The release of
    iDAT starts all its linear layers as N(0, 0.02^2), so not as no change: init="normal". Blocks are computed from
    their parts, so that hooks on them, and what transformers does there (recorded hidden states, activation
    checkpointing), see nothing.
    """

    r: int = 4
    placement: StreamPlacement = "shared"
    activation: str = "gelu"
    scale: float | Literal["channel"] = 0.1
    bias: bool = True
    dropout: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate("dropout", self.dropout)
        check_rate("drop_path", self.drop_path)
        check_choice("placement", self.placement, get_args(StreamPlacement))
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        if self.scale != "channel" and not (isinstance(self.scale, float | int) and math.isfinite(self.scale)):
            raise ModelError(f"scale={self.scale!r} must be a number or 'channel'")

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """One wrapper around the block.

        Args:
            block: the block.
            generator: draws what it starts from.

        Raises:
            ModelError: the block is not known as a sum x + f(x), x + g(x).
        """
        width = width_of_stream(block)
        config = BottleneckConfig(
            r=self.r, init=self.init, activation=self.activation, bias=self.bias, dropout=self.dropout
        )
        like = next(block.site.get().parameters())
        where = {"device": like.device, "dtype": adapter_dtype(like)}
        adapter = Bottleneck(width, config, generator).to(**where)
        scale: nn.Parameter | float
        if self.scale == "channel":
            scale = nn.Parameter(torch.ones(width, **where))
        else:
            scale = self.scale
        yield block.site, StreamLayer(block, adapter, scale, self.placement, self.drop_path)


def width_of_stream(block: Block) -> int:
    """d of a block x + f(x), x + g(x). Raises `ModelError` where the block is not known as such a sum."""
    if len(block.branches) != 2 or block.mlp is None or block.attention is None:
        kind = type(block.site.get()).__name__
        raise ModelError(
            f"{block.site.path} is a {kind}, not known as a sum x + f(x), x + g(x): use {kinds_for(block)}"
        )
    return block.mlp.width


class StreamLayer(AdapterLayer):
    """A block, computed from its branches with adapters on its residual stream.

    Such layers of several sets around one block add up. Nothing else may lie between them and the block.
    """

    def __init__(
        self,
        block: Block,
        adapter: nn.Module,
        scale: nn.Parameter | float,
        placement: StreamPlacement,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(block.site.get())
        self.adapter = adapter
        self.drop = DropSamples(drop_path)
        self.scale = scale
        self.placement = placement
        attention, ffn = block.branches
        self.branches = (_names(attention), _names(ffn))

    def adapted(self, x: Tensor, *args: Any, **keywords: Any) -> Tensor:
        """The output of the block with all adapters on its stream.

        Args:
            x: (batch, tokens, d).
            args: further arguments of the block's attention.
            keywords: the same.

        Returns:
            (batch, tokens, d).

        Raises:
            ModelError: adapters of another kind were attached inside of these.
        """
        layers: list[StreamLayer] = [self]
        block = self.base_layer
        while isinstance(block, StreamLayer):
            if block.enabled:
                layers.append(block)
            block = block.base_layer
        if block is not self.get_base_layer():
            raise ModelError(f"{self.place}: a {type(block).__name__} was attached inside adapters on the stream")
        attention, ffn = self.branches
        # All adapters read this same stream, not what the others add to it.
        stream = x
        x = stream + _chain(block, attention, stream, *args, **keywords)
        for layer in layers:
            if layer.placement == "shared":
                x = x + layer.change(stream)
        stream = x
        x = stream + _chain(block, ffn, stream)
        for layer in layers:
            if layer.placement != "after":
                x = x + layer.change(stream)
        stream = x
        for layer in layers:
            if layer.placement == "after":
                x = x + layer.change(stream)
        return x

    def change(self, x: Tensor) -> Tensor:
        """scale A(x), 0 for samples whose adapter is dropped."""
        return scaled(self.drop(self.adapter(x)), self.scale)


def _names(branch: tuple[Site, ...]) -> tuple[str, ...]:
    return tuple(site.name for site in branch)


def _chain(block: nn.Module, names: tuple[str, ...], x: Tensor, *args: object, **keywords: object) -> Tensor:
    """The norm of a branch, then its attention or FFN with the further arguments, then the rest."""
    norm, core, *rest = (getattr(block, name) for name in names)
    y = core(norm(x), *args, **keywords)
    if isinstance(y, tuple):
        y = y[0]
    for module in rest:
        y = module(y)
    return y
