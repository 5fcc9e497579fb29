"""FacT-TT: one tensor-train update of all matrices of a ViT

Jie and Deng (arXiv 2212.03145), as released: dropout and drop path 0.1. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS
from ..shared._released import ReleasedByTask
from ._drop_path import DropPathMethod


@dataclass(frozen=True, kw_only=True)
class FacT(ReleasedByTask, DropPathMethod):
    """Factors of `rank` that all matrices share, and a core for each."""

    rank: int = 16
    """Rank of the tensor train; the paper searches it per task, up to 16."""
    scale: float = 1.0
    """Factor of the update; the paper searches it per task."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)
    release: ClassVar[str] = "fact"

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The update."""
        return preset("fact", faithful=True, r=self.rank, scale=self.scale, **common)
