"""AdaptFormer: a scaled bottleneck beside each FFN of a ViT

Chen et al. (arXiv 2205.13535), section 3.2, as released: on the stream before the norm, dropout 0.1. The head trains
too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class AdaptFormer(AdapterMethod):
    """Bottlenecks of `rank` hidden units that start as no change."""

    rank: int = 8
    """Hidden units of each adapter."""
    scale: float = 0.1
    """Factor of their output."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return preset("adaptformer", faithful=True, r=self.rank, scale=self.scale, **common)
