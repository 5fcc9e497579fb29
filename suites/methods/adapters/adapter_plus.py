"""Adapter+: a bottleneck with learned channel scales after each block of a ViT

Steitz and Roth (arXiv 2406.06820). The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class AdapterPlus(AdapterMethod):
    """Bottlenecks of `rank` hidden units near the identity at first."""

    rank: int = 8
    """Hidden units of each adapter."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return preset("adapter_plus", r=self.rank, **common)
