"""Weights in 8 bits: each row of a linear layer in the blocks is rounded to 255 equal steps"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.traits import BLOCKS

from ._toys import block_weights

LEVELS = 127


@dataclass(frozen=True, kw_only=True)
class ToyRound(Method):
    """Symmetric, so that a weight of zero stays one; trains nothing."""

    stochastic: ClassVar[bool] = False

    @property
    def needs(self) -> frozenset[str]:
        """Blocks."""
        return frozenset({BLOCKS})

    @torch.no_grad()
    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """In place."""
        for weight in block_weights(backbone):
            step = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / LEVELS
            weight.copy_((weight / step).round() * step)
        return backbone
