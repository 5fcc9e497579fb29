"""Houlsby adapters: two per block, after the attention and after the FFN

Houlsby et al. (arXiv 1902.00751), section 2.1. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class Houlsby(AdapterMethod):
    """Bottlenecks of `rank` hidden units that start near the identity."""

    rank: int = 64
    """Hidden units of each adapter."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return preset("houlsby", r=self.rank, **common)
