"""Parallel adapters: beside each FFN, scaled

He et al. (arXiv 2110.04366), section 4.2. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class ParallelAdapters(AdapterMethod):
    """Bottlenecks of `rank` hidden units on the input of the FFN."""

    rank: int = 64
    """Hidden units of each adapter."""
    scale: float = 1.0
    """Factor of their output; the paper takes 4 for its scaled variant."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return preset("parallel", r=self.rank, scale=self.scale, **common)
