"""DY-Conv: the kernel of a sample is an average of K kernels.

Chen et al., "Dynamic Convolution: Attention over Convolution Kernels", arXiv 1912.03458.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..copies import copied_bank, copied_bias
from .attention import KernelAttention
from .base import DynamicConv2d
from .config import ConvConfig
from .factors import Factors
from .geometry import Geometry


class DyConv2d(DynamicConv2d):
    """y = (Σ_k π_k(x) W_k) * x + Σ_k π_k(x) b_k with π = `KernelAttention`, shares that sum to 1 (equation 3).

    Example: `DyConv2d.of(nn.Conv2d(64, 64, 3), ConvConfig(), torch.Generator())`.
    """

    def __init__(self, bank: Tensor, bias: Tensor | None, geometry: Geometry, attention: KernelAttention) -> None:
        super().__init__(bank, bias, geometry)
        self.attention = attention

    @classmethod
    def of(cls, conv: Any, config: ConvConfig, generator: torch.Generator, path: str = "the module") -> DyConv2d:
        """One that computes what `conv` does, with K copies of its weight (`config.noise` aside)."""
        geometry = Geometry.of(conv, path)
        attention = KernelAttention(
            conv.in_channels,
            config.num_kernels,
            generator,
            reduction=config.reduction,
            temperature=config.temperature,
        )
        bank = copied_bank(conv.weight, config, generator)
        return cls(bank, copied_bias(conv.bias, config), geometry, attention)

    def factors(self, x_BIHW: Tensor) -> Factors:
        """The shares of the kernels."""
        return Factors(kernels=self.attention(x_BIHW))

    def share_parameters(self) -> list[nn.Parameter]:
        """The parameters of the attention."""
        return list(self.attention.parameters())
