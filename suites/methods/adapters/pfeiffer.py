"""Pfeiffer adapters: one per block, at its end

Pfeiffer et al. (arXiv 2005.00247), section 2.1. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class Pfeiffer(AdapterMethod):
    """Bottlenecks of `rank` hidden units."""

    rank: int = 64
    """Hidden units of each adapter."""
    init: Literal["normal", "zero_up"] = "normal"
    """Both matrices N(0, 0.02²); or the last one 0: no change at first."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return preset("pfeiffer", r=self.rank, init=self.init, **common)
