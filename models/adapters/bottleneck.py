"""Bottleneck adapters after, or beside, the feed-forward part of transformer blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ..anatomy import Block, Site
from ..errors import ModelError, check_choice
from .config import RankConfig
from .layer import AdapterLayer
from .masked import MaskedLinear, initialise

Placement = Literal["sequential", "parallel"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


@dataclass(frozen=True, kw_only=True)
class BottleneckConfig(RankConfig):
    """A(x) = up(act(down(x))), both with bias, once per block.

    "sequential": y = FFN(x), out = y + scale A(y), before the residual sum (Houlsby et al., arXiv 1902.00751).
    "parallel": out = FFN(x) + scale A(x) (He et al., arXiv 2110.04366). 2 d r + r + d parameters per block of width d.
    """

    r: int = 64
    placement: Placement = "sequential"
    activation: str = "gelu"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("placement", self.placement, get_args(Placement))
        check_choice("activation", self.activation, tuple(ACTIVATIONS))

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """One wrapper: around the result of the FFN, or around what the FFN's input passes through."""
        mlp = block.mlp
        if mlp is None or mlp.kind == "conv":
            raise ModelError(f"{block.site.path} has no transformer FFN: use ConvConfig for a convolutional network")
        like = next(block.site.get().parameters())
        adapter = Bottleneck(mlp.width, self, generator).to(like.device, like.dtype)
        if self.placement == "sequential":
            yield mlp.output, SequentialAdapter(mlp.output.get(), adapter, self.scale)
        elif mlp.add_norm is not None:
            yield mlp.add_norm, ResidualAdapter(mlp.add_norm.get(), adapter, self.scale)
        else:
            yield mlp.site, ParallelAdapter(mlp.site.get(), adapter, self.scale)


class Bottleneck(nn.Module):
    """up(act(down(x))) on the last dimension."""

    def __init__(self, width: int, config: BottleneckConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.down, self.up = MaskedLinear(width, config.r), MaskedLinear(config.r, width)
        self.activation = ACTIVATIONS[config.activation]()
        initialise(self.down, self.up, config.init, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return self.up(self.activation(self.down(x)))


class ScaledAdapter(AdapterLayer):
    """Base of the layers with one adapter and a scale."""

    def __init__(self, base: nn.Module, adapter: nn.Module, scale: float) -> None:
        super().__init__(base)
        self.adapter, self.scale = adapter, scale


class SequentialAdapter(ScaledAdapter):
    """y + scale A(y) for the output y of `base`."""

    def adapted(self, *args: Any, **keywords: Any) -> Tensor:
        """The adapted output of `base`."""
        y = self.base(*args, **keywords)
        return y + self.adapter(y) * self.scale


class ParallelAdapter(ScaledAdapter):
    """base(x) + scale A(x)."""

    additive = True

    def adapted(self, x: Tensor) -> Tensor:
        """The output of `base` plus that of the adapter."""
        return self.base(x) + self.adapter(x) * self.scale


class ResidualAdapter(ScaledAdapter):
    """base(hidden, x + scale A(x)) for a `base` that adds x to what it makes of `hidden`."""

    def adapted(self, hidden: Tensor, x: Tensor) -> Tensor:
        """The output of `base` with the adapter's beside the FFN's."""
        return self.base(hidden, x + self.adapter(x) * self.scale)
