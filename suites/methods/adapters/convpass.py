"""Convpass: bottlenecks with a 3x3 convolution beside attention and FFN

Jie and Deng (arXiv 2207.07039), as released: QuickGELU, a Xavier start, dropout and drop path 0.1, the bypass and its
branch dropped each for itself. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.method import Later
from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ..shared._released import ReleasedByTask
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class Convpass(ReleasedByTask, AdapterMethod):
    """Bypasses of `rank` channels that start as no change."""

    rank: int = 8
    """Channels of each bypass."""
    scale: float = 1.0
    """Factor of their output; the paper searches it per task."""
    drop_path: float = 0.1
    """Rate at which the last block drops its branches and, each for itself, its bypasses in training, on a straight
    line to 0 at the first block; as released."""
    conv_init: Later[Literal["identity", "xavier"]] = "identity"
    """How the convolutions start; the release has the one on some tasks, the other on the rest."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)
    release: ClassVar[str] = "convpass"

    def __post_init__(self) -> None:
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path={self.drop_path} is a rate: from 0 to below 1")

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The bypasses."""
        fields = {"r": self.rank, "scale": self.scale, "drop_path": self.drop_path, "conv_init": self.conv_init}
        return preset("convpass", faithful=True, **fields, **common)
