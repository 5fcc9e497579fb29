"""Magnitude pruning: the smallest weights of each linear layer in the blocks become zero"""

from dataclasses import dataclass

import torch
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.traits import BLOCKS

from ._toys import block_weights


@dataclass(frozen=True, kw_only=True)
class ToyPrune(Method):
    """Trains nothing."""

    fraction: float = 0.5
    """Of the weights of each layer that go."""

    @property
    def needs(self) -> frozenset[str]:
        """Blocks."""
        return frozenset({BLOCKS})

    @torch.no_grad()
    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """In place."""
        for weight in block_weights(backbone):
            count = round(self.fraction * weight.numel())
            if count:
                smallest = weight.abs().flatten().topk(count, largest=False).indices
                weight.view(-1)[smallest] = 0.0
        return backbone
