"""CondConv: the kernel of a sample is a sum of K kernels, each with a weight of its own.

Yang et al., "CondConv: Conditionally Parameterized Convolutions for Efficient Inference", arXiv 1904.04971.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..copies import copied_bank, copied_bias
from .attention import SigmoidRouting
from .base import DynamicConv2d
from .config import ConvConfig
from .factors import Factors
from .geometry import Geometry


class CondConv2d(DynamicConv2d):
    """y = (Σ_k σ(z_k(x)) W_k) * x with z = `SigmoidRouting` (equation 1), each convolution with routing of its own.

    The paper, and timm's EfficientNets of this kind, share one routing between the convolutions of a block.
    """

    def __init__(self, bank: Tensor, bias: Tensor | None, geometry: Geometry, routing: SigmoidRouting) -> None:
        super().__init__(bank, bias, geometry)
        self.routing = routing

    @classmethod
    def of(cls, conv: Any, config: ConvConfig, generator: torch.Generator, path: str = "the module") -> CondConv2d:
        """One that computes what `conv` does: shares of 1 / K at first, and K copies of its weight."""
        geometry = Geometry.of(conv, path)
        routing = SigmoidRouting(conv.in_channels, config.num_kernels)
        bank = copied_bank(conv.weight, config, generator)
        return cls(bank, copied_bias(conv.bias, config), geometry, routing)

    def factors(self, x_BIHW: Tensor) -> Factors:
        """The shares of the kernels, which need not sum to 1."""
        return Factors(kernels=self.routing(x_BIHW))

    def share_parameters(self) -> list[nn.Parameter]:
        """The parameters of the routing."""
        return list(self.routing.parameters())
