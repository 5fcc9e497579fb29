"""Bottleneck adapters after the parts of transformer blocks, or parallel to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Block, Site
from ...errors import ModelError, check_choice
from ...sparsity.masked import MaskedLinear
from ..config import RankConfig
from ..initialisation import adapter_dtype, initialise
from ..layer import AdapterLayer
from ..sites import kinds_for

Placement = Literal["sequential", "parallel", "houlsby", "pfeiffer"]
Norm = Literal["none", "in", "out"]


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), close to GELU."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "quick_gelu": QuickGELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
}


@dataclass(frozen=True, kw_only=True)
class BottleneckConfig(RankConfig):
    """A(x) = up(dropout(act(down(x)))), in each block of width d 2 d r + r + d parameters.

    `placement`, with the residual sum always outside of what is adapted:
    "sequential": out = y + scale A(y) for the result y of the FFN.
    "parallel": out = FFN(x) + scale A(x) (He et al., arXiv 2110.04366).
    "houlsby": "sequential", and the same after the attention's output projection with an adapter of its own (Houlsby et
    al., arXiv 1902.00751): twice the parameters.
    "pfeiffer": "sequential" where blocks normalise their inputs. Where they normalise sums (BERT), around the last norm
    LN: out = LN(s + scale A(LN(s))) with s = FFN(x) + x (Pfeiffer et al., arXiv 2005.00247).

    Attributes:
        r: width of the bottleneck.
        placement: where A acts, as above.
        activation: act, by its name.
        scale: a number, or "learned", one parameter that starts at 1.
        bias: whether down and up have one.
        norm: a LayerNorm of the adapter's own on what goes "in" or comes "out"; 2 d parameters.
        dropout: on the activation, in training.
    """

    r: int = 64
    placement: Placement = "sequential"
    activation: str = "gelu"
    scale: float | Literal["learned"] = 1.0
    bias: bool = True
    norm: Norm = "none"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("placement", self.placement, get_args(Placement))
        check_choice("activation", self.activation, tuple(ACTIVATIONS))
        check_choice("norm", self.norm, get_args(Norm))
        if self.scale != "learned" and not (isinstance(self.scale, float | int) and math.isfinite(self.scale)):
            raise ModelError(f"scale={self.scale!r} must be a number or 'learned'")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout={self.dropout} is a probability: from 0 to below 1")

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """A wrapper for each adapter of the block.

        Args:
            block: the block.
            generator: draws what they start from.

        Raises:
            ModelError: the block has no FFN of a transformer, or no output projection of an attention for "houlsby".
        """
        mlp = block.mlp
        attention = block.attention
        if mlp is None or mlp.kind == "conv":
            raise ModelError(f"{block.site.path} has no transformer FFN: use {kinds_for(block)}")
        if self.placement == "houlsby":
            if attention is None or attention.o is None:
                raise ModelError(
                    f"{block.site.path} has no output projection of an attention: choose another placement, use "
                    "BottleneckConfig(placement='sequential')"
                )
            yield self._wrap(SequentialAdapter, attention.o, block, generator)
        if self.placement == "pfeiffer" and block.post_norm:
            yield self._wrap(PostNormAdapter, block.norms[-1], block, generator)
        elif self.placement != "parallel":
            yield self._wrap(SequentialAdapter, mlp.output, block, generator)
        elif mlp.add_norm is not None:
            yield self._wrap(ResidualAdapter, mlp.add_norm, block, generator)
        elif mlp.tail is not None:
            raise ModelError(
                f"{block.site.path} calls the parts of its FFN one by one, so that nothing can lie parallel to the "
                "whole: use placement='sequential'"
            )
        else:
            yield self._wrap(ParallelAdapter, mlp.site, block, generator)

    def _wrap(
        self, kind: type[ScaledAdapter], site: Site, block: Block, generator: torch.Generator
    ) -> tuple[Site, AdapterLayer]:
        assert block.mlp is not None
        like = next(block.site.get().parameters())
        adapter = Bottleneck(block.mlp.width, self, generator).to(like.device, adapter_dtype(like))
        return site, kind(site.get(), adapter, self.scale)


class CastingLayerNorm(nn.LayerNorm):
    """A LayerNorm that computes in the dtype of its input, whatever that of its parameters."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise the last dimension."""
        weight = self.weight.to(input.dtype)
        bias = self.bias.to(input.dtype)
        return F.layer_norm(input, self.normalized_shape, weight, bias, self.eps)


class Bottleneck(nn.Module):
    """up(dropout(act(down(x)))) on the last dimension, perhaps with a norm before or after."""

    def __init__(self, width: int, config: BottleneckConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.norm_in = CastingLayerNorm(width) if config.norm == "in" else None
        self.down = MaskedLinear(width, config.r, bias=config.bias)
        self.activation = ACTIVATIONS[config.activation]()
        self.dropout = nn.Dropout(config.dropout)
        self.up = MaskedLinear(config.r, width, bias=config.bias)
        self.norm_out = CastingLayerNorm(width) if config.norm == "out" else None
        initialise(self.down, self.up, config.init, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        if self.norm_in is not None:
            x = self.norm_in(x)
        x = self.up(self.dropout(self.activation(self.down(x))))
        if self.norm_out is not None:
            x = self.norm_out(x)
        return x


class ScaledAdapter(AdapterLayer):
    """Base of the layers with one adapter and a scale."""

    def __init__(self, base_layer: nn.Module, adapter: nn.Module, scale: float | Literal["learned"]) -> None:
        super().__init__(base_layer)
        self.adapter = adapter
        if scale == "learned":
            self.scale = nn.Parameter(next(adapter.parameters()).new_ones(()))
        else:
            self.scale = scale

    def change(self, x: Tensor) -> Tensor:
        """scale A(x)."""
        return scaled(self.adapter(x), self.scale)


def scaled(out: Tensor, scale: Tensor | float) -> Tensor:
    """An output times a number or learned scale, in the dtype of the output."""
    if isinstance(scale, Tensor):
        scale = scale.to(out.dtype)
    return out * scale


def added(y: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """y + change(y); of the first element of a tuple, where a module returns more than its output (GPT-OSS)."""
    if isinstance(y, tuple):
        return y[0] + change(y[0]), *y[1:]
    return y + change(y)


class SequentialAdapter(ScaledAdapter):
    """y + scale A(y) for the output y of `base_layer`."""

    def adapted(self, *args: Any, **keywords: Any) -> Any:
        """The adapted output of `base_layer`."""
        return added(self.base_layer(*args, **keywords), self.change)


class ParallelAdapter(ScaledAdapter):
    """base_layer(x) + scale A(x)."""

    additive = True

    def adapted(self, x: Tensor) -> Any:
        """The output of `base_layer` plus that of the adapter."""
        return added(self.base_layer(x), lambda _: self.change(x))


class ResidualAdapter(ScaledAdapter):
    """base_layer(hidden, x + scale A(x)) for a `base_layer` that adds x to what it makes of `hidden`."""

    def adapted(self, hidden: Tensor, x: Tensor) -> Tensor:
        """The output of `base_layer` for the sum of the FFN's result and the adapter's."""
        return self.base_layer(hidden, x + self.change(x))


class PostNormAdapter(ScaledAdapter):
    """LN(s + scale A(LN(s))) for a norm `base_layer` = LN of the sum s of the FFN's result and its input."""

    def adapted(self, s: Tensor) -> Tensor:
        """The adapted output of the block."""
        return self.base_layer(s + self.change(self.base_layer(s)))
