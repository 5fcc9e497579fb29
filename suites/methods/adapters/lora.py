"""LoRA: low-rank updates of the attention's query and value projections

Hu et al. (arXiv 2106.09685), section 4: W + (alpha / rank) B A with B = 0 at first. The head trains too. The updates
stay beside the weights, so that the table counts what was trained; merging them would make the model as fast as its
backbone. In a network without attention say `targets`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from sparsebench.models.adapters import AdapterConfig, LoRAConfig

from ...contracts.traits import ATTENTION
from ._adapters import AdapterMethod

_OF_ATTENTION = {"q", "k", "v", "o"}


@dataclass(frozen=True, kw_only=True)
class LoRA(AdapterMethod):
    """Rank-`rank` updates in each of the last blocks."""

    rank: int = 8
    """Rank of each update."""
    alpha: float | None = None
    """Scale of the update times the rank; None means a scale of 1."""
    targets: tuple[str, ...] = ("q", "v")
    """Projections that get one: q, k, v, o, gate, up, down; or linears, all of a block."""
    init: Literal["normal", "zero_up"] = "zero_up"
    """The paper's start, B = 0."""

    @property
    def needs(self) -> frozenset[str]:
        """Attention, where projections of it are adapted."""
        return super().needs | ({ATTENTION} if _OF_ATTENTION & set(self.targets) else set())

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The updates."""
        return LoRAConfig(r=self.rank, alpha=self.alpha, targets=self.targets, init=self.init, **common)
