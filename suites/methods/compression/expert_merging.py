"""Merged similar experts: groups of experts of a mixture become their mean, the router stays

HC-SMoE (Chen et al., arXiv 2410.08589): hierarchical clustering by mean outputs. M-SMoE, the first step of MC-SMoE
(Li et al., arXiv 2310.01334): groups around the busiest experts of all layers by router logits, so that layers are left
different numbers; neurons aligned. Without training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sparsebench.models.calibration.mixture_statistics import LayerStatistics
from sparsebench.models.compression.trimming.experts.budgets import Keep
from sparsebench.models.compression.trimming.experts.merging import merge_similar

from ...contracts.context import Context
from ...contracts.method import Later
from ._expert_trimming import ExpertTrimming, Report


@dataclass(frozen=True, kw_only=True)
class ExpertMerging(ExpertTrimming):
    """As many groups as `keep` leaves experts."""

    grouping: Literal["outputs", "router"] = "outputs"
    """HC-SMoE, or M-SMoE."""
    scope: Later[Literal["layer", "global"] | None] = None
    """Equally many groups in each layer, or more where more of the busiest experts of all layers are, as many in all.
    None: as in each paper, "layer" for HC-SMoE and "global" for M-SMoE, unless `numbers` says how many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Not for HC-SMoE: its cells are what they were before there was a choice.
        if self.scope is None and self.grouping == "router":
            object.__setattr__(self, "scope", "layer" if self.numbers else "global")

    @property
    def all_outputs(self) -> bool:
        """HC-SMoE compares what experts give for the same tokens."""
        return self.grouping == "outputs"

    def trim(self, model: nn.Module, statistics: Sequence[LayerStatistics], keep: Keep, context: Context) -> Report:
        """Merge in place."""
        return merge_similar(model, statistics, keep, grouping=self.grouping, scope=self.scope)
