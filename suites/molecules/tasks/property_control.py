"""Molecules with a wanted property: do they follow the target, for each property alone?"""

from typing import Any

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import GRAPH_WORDS
from ..generation.moses import MosesTask
from ..generation.property_control import LEAST, follow_targets

MOLECULES = 40


class PropertyControl(MosesTask):
    """For each property (logP, QED, SA score, weight) five targets, and 40 molecules for each, nothing else asked.

    The budget's test examples are the molecules for each target. Scores, for each property and as means: Spearman's
    correlation of target and achieved value over all molecules, the mean absolute error in standard deviations of the
    training molecules, and the fraction of neighbouring targets whose mean achieved values rise. The main one is the
    correlation of the property that follows least.
    """

    version = "2"  # the least correlation is the main score; drawn again instead of repaired, temperature 0.9
    metric_names = (LEAST, "spearman", "spearman *", "MAE", "MAE *", "rising", "rising *")
    draws = True
    group = "property control"
    sources = ("moses",)
    needs = MosesTask.needs | {GRAPH_WORDS}

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Sample for every target."""
        return follow_targets(subject, context.budget.test_examples or MOLECULES, context)
