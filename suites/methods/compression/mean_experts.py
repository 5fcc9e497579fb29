"""MoNE: experts replaced by their mean outputs

Zhang et al. (arXiv 2507.00390): experts that the router gives little weight, and whose outputs vary little, become
constants; the router stays. Scored as in the released code, layer by layer. Without training. The fair rival is
`expert_drop` with `preserve_gate` and the same score: it keeps the rows of the router, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sparsebench.models.calibration.mixture_statistics import LayerStatistics
from sparsebench.models.compression.trimming.experts.budgets import Keep
from sparsebench.models.compression.trimming.experts.mean_outputs import replace_by_mean
from sparsebench.models.compression.trimming.experts.scores import Score

from ...contracts.context import Context
from ._expert_trimming import ExpertTrimming, Report

CONTROLS = ({"score": "random"}, {"reverse": True})
"""Configurations that are controls, read by the report."""


@dataclass(frozen=True, kw_only=True)
class MeanExperts(ExpertTrimming):
    """The best `keep` of the experts stay; the others are constants."""

    score: Score = "mone"
    """What ranks experts; the paper's is the mean weight of one in the router's choices, times the square root of the
    variance of its outputs, summed over the width."""
    scope: Literal["layer", "global"] = "layer"
    """Equally many of each layer, or the best of all layers together, one of each at least."""
    reverse: bool = False
    """The best go first: the control of a score."""

    def trim(self, model: nn.Module, statistics: Sequence[LayerStatistics], keep: Keep, context: Context) -> Report:
        """Replace in place."""
        return replace_by_mean(
            model,
            statistics,
            keep,
            score=self.score,
            scope=self.scope,
            reverse=self.reverse,
            generator=context.generator("expert-drop"),
        )
