"""LoRA: low-rank updates of the attention's query and value projections

Hu et al. (arXiv 2106.09685), section 4: W + (alpha / rank) B A with B = 0 at first. The head trains too. The updates
stay beside the weights, so that the table counts what was trained; merging them would make the model as fast as its
backbone.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from sparsebench.models.adapters import AdapterConfig, LoRAConfig

from ...contracts.traits import ATTENTION, BLOCKS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class LoRA(AdapterMethod):
    """Rank-`rank` updates in each of the last blocks."""

    rank: int = 8
    """Rank of each update."""
    alpha: float | None = None
    """Scale of the update times the rank; None means a scale of 1."""
    targets: tuple[str, ...] = ("q", "v")
    """Projections that get one: q, k, v, o, gate, up, down."""
    init: Literal["normal", "zero_up"] = "zero_up"
    """The paper's start, B = 0."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The updates."""
        return LoRAConfig(r=self.rank, alpha=self.alpha, targets=self.targets, init=self.init, **common)
