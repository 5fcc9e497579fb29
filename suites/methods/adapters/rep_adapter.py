"""RepAdapter: a linear bottleneck before attention and FFN, merged afterwards

Luo et al. (arXiv 2302.08106), as released: a Xavier start, dropout and drop path 0.1. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS
from ..shared._released import ReleasedByTask
from ._drop_path import DropPathMethod


@dataclass(frozen=True, kw_only=True)
class RepAdapter(ReleasedByTask, DropPathMethod):
    """Bottlenecks of `rank` hidden units; `merge` leaves the bare backbone."""

    rank: int = 8
    """Hidden units of each adapter."""
    groups: int = 2
    """Groups of the second projection."""
    scale: float = 1.0
    """Factor of their output; the paper searches it per task."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)
    release: ClassVar[str] = "rep_adapter"

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return preset("rep_adapter", faithful=True, r=self.rank, groups=self.groups, scale=self.scale, **common)
