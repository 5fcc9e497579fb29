"""Bottlenecks of binary matrices on the residual stream: Bi-AdaptFormer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Block, Site
from ...errors import ModelError, check_whole
from ..config import AdapterConfig
from ..dropping import check_rate
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from .shared_parallel import StreamLayer, width_of_stream

CODE = NormalDist().inv_cdf(0.75)
"""The median of each half of N(0, 1): what a standardised weight is rounded to, with its sign."""
EPS = 1e-5
"""Added to the deviation that weights are divided by."""


@dataclass(frozen=True, kw_only=True)
class BinaryConfig(AdapterConfig):
    """x <- x + g(x) + scale A(x) with A(x) = up(dropout(relu(down(x)))) of x itself, both matrices of one bit a weight.

    Jie et al., arXiv 2307.16867. W is used as m + s sign((W - m) / (s + 1e-5)) c, m and s the mean and the standard
    deviation of its entries and c the upper quartile of N(0, 1); the sign passes the gradient on as if it were not
    there. There is no bias, so each block has 2 d r parameters, which are trained, and saved, as floats. down starts as
    U(-1, 1) / sqrt(d), up as N(0, 0.001^2) cut at two deviations, as released: one bit is never no change.

    Attributes:
        r: width of the bottleneck.
        scale: factor of what is added.
        dropout: on the bottleneck, in training.
    """

    r: int = 32
    scale: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate("dropout", self.dropout)
        check_whole("r", self.r)
        if not math.isfinite(self.scale):
            raise ModelError(f"scale={self.scale!r} must be a number")

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """One wrapper around the block.

        Args:
            block: the block.
            generator: draws what it starts from.

        Raises:
            ModelError: the block is not known as a sum x + f(x), x + g(x).
        """
        width = width_of_stream(block)
        like = next(block.site.get().parameters())
        adapter = BinaryBottleneck(width, self, generator).to(like.device, adapter_dtype(like))
        yield block.site, StreamLayer(block, adapter, self.scale, "ffn")


class BinaryBottleneck(nn.Module):
    """up(dropout(relu(down(x)))) on the last dimension."""

    def __init__(self, width: int, config: BinaryConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.down = BinaryLinear(width, config.r)
        self.dropout = nn.Dropout(config.dropout)
        self.up = BinaryLinear(config.r, width)
        nn.init.uniform_(self.down.weight, -(width**-0.5), width**-0.5, generator=generator)
        nn.init.trunc_normal_(self.up.weight, std=0.001, a=-0.002, b=0.002, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        return self.up(self.dropout(F.relu(self.down(x))))


class BinaryLinear(nn.Module):
    """A linear map without bias whose weight (outputs, inputs) has two values; see `BinaryConfig`.

    It is no `nn.Linear`: what reads `weight` of such a layer would take the floats that are trained for what is used.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return F.linear(x, self.binary().to(x.dtype))

    def binary(self) -> Tensor:
        """The weight as it is used, of two values; its gradient is that of the weight."""
        mean = self.weight.mean()
        deviation = self.weight.std()
        standard_OI = (self.weight - mean) / (deviation + EPS)
        # The value of the first term, the gradient of the second.
        signs_OI = standard_OI.detach().sign() * CODE + standard_OI - standard_OI.detach()
        return signs_OI * deviation + mean
