"""Adapter+: a bottleneck with learned channel scales after each block of a ViT

Steitz and Roth (arXiv 2406.06820), as released: drop path 0.1 in the network, and in each adapter. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ._drop_path import DropPathMethod


@dataclass(frozen=True, kw_only=True)
class AdapterPlus(DropPathMethod):
    """Bottlenecks of `rank` hidden units near the identity at first."""

    rank: int = 8
    """Hidden units of each adapter."""
    adapter_drop_path: float = 0.1
    """Rate at which the adapter of a sample is dropped in training, the same in every block; as released."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return preset("adapter_plus", faithful=True, r=self.rank, drop_path=self.adapter_drop_path, **common)
