"""Shared-parallel adapter: one bottleneck beside attention and FFN of a block

iDAT's adapter (Ruan et al., arXiv 2403.15750), without its distillation. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, StreamConfig

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class SharedParallel(AdapterMethod):
    """Bottlenecks of `rank` hidden units, each used twice."""

    rank: int = 4
    """Hidden units of each adapter."""
    scale: float = 0.1
    """Factor of their output."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters, but no change at first."""
        return StreamConfig(placement="shared", r=self.rank, scale=self.scale, **common)
