"""Convpass: bottlenecks with a 3x3 convolution beside attention and FFN

Jie and Deng (arXiv 2207.07039), as released: QuickGELU, a Xavier start, dropout and drop path 0.1. There the
bypass and its branch are dropped each for itself, here together. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ._drop_path import ReleasedAdapterMethod


@dataclass(frozen=True, kw_only=True)
class Convpass(ReleasedAdapterMethod):
    """Bypasses of `rank` channels that start as no change."""

    rank: int = 8
    """Channels of each bypass."""
    scale: float = 1.0
    """Factor of their output; the paper searches it per task."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The bypasses."""
        return preset("convpass", faithful=True, r=self.rank, scale=self.scale, **common)
