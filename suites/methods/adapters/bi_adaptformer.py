"""Bi-AdaptFormer: AdaptFormer whose matrices have one bit a weight

Jie et al. (arXiv 2307.16867), as released: dropout and drop path 0.1. The head trains too, in full precision.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ..shared._released import ReleasedByTask
from ._drop_path import DropPathMethod


@dataclass(frozen=True, kw_only=True)
class BiAdaptFormer(ReleasedByTask, DropPathMethod):
    """Bottlenecks of `rank` hidden units, a small change at first."""

    rank: int = 32
    """Hidden units of each adapter."""
    scale: float = 1.0
    """Factor of their output; the paper searches it per task."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)
    release: ClassVar[str] = "bi_adaptformer"

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return preset("bi_adaptformer", faithful=True, r=self.rank, scale=self.scale, **common)
