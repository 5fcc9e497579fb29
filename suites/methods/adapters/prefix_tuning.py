"""Prefix tuning: learned keys and values in every attention

Li and Liang (arXiv 2101.00190), sections 4.2 and 4.3. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, PrefixConfig

from ...contracts.traits import ATTENTION, BLOCKS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class PrefixTuning(AdapterMethod):
    """`length` learned positions that every query sees."""

    length: int = 30
    """Learned positions per block."""
    bottleneck: int | None = 800
    """Width of the MLP that makes them; None learns them directly."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The prefix."""
        return PrefixConfig(length=self.length, bottleneck=self.bottleneck, **common)
