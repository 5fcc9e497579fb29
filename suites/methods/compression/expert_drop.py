"""Expert Drop: mixtures lose the experts that a score ranks last

He et al. (arXiv 2406.02500), section 4: scored once on the calibration data, all dropped at once, layer by layer or
over all layers. Scores of its rivals, too: EAN (arXiv 2504.05586), REAP (arXiv 2510.13999).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sparsebench.models.calibration.mixture_statistics import LayerStatistics
from sparsebench.models.compression.trimming.experts.budgets import Keep
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.compression.trimming.experts.scores import Score

from ...contracts.context import Context
from ._expert_trimming import ExpertTrimming, Report

CONTROLS = ({"score": "random"}, {"reverse": True})
"""Configurations that are controls, read by the report."""


@dataclass(frozen=True, kw_only=True)
class ExpertDrop(ExpertTrimming):
    """The best `keep` of the experts stay; tokens of the others go to the next best ones."""

    score: Score = "router"
    """What ranks experts: the paper's mean routing score, over all tokens ("router") or with 0 for tokens that went to
    others ("router_topk"); how many tokens chose it; the norms of its outputs (EAN), with routing weights (REAP: in the
    paper's form, with the softmax that the released code takes of any router, or with weights that sum to 1); what MoNE
    ranks by ("mone"); nothing ("random", the control)."""
    scope: Literal["layer", "global"] = "layer"
    """Equally many of each layer, or the best of all layers together, one of each at least."""
    reverse: bool = False
    """The best go first: the control of a score."""
    preserve_gate: bool = False
    """Rows of the router stay: a token that chooses a dropped expert loses that term."""

    def trim(self, model: nn.Module, statistics: Sequence[LayerStatistics], keep: Keep, context: Context) -> Report:
        """Drop in place."""
        return expert_drop(
            model,
            statistics,
            keep,
            score=self.score,
            scope=self.scope,
            reverse=self.reverse,
            preserve_gate=self.preserve_gate,
            generator=context.generator("expert-drop"),
        )
