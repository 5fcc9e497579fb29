"""Molecules with a wanted scaffold, one that training never saw: does the request steer to it, and to no other?"""

from typing import Any

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import GRAPH_WORDS
from ..generation.moses import MosesTask
from ..generation.scaffolds import score_scaffolds

MOLECULES = 20


class ScaffoldGeneration(MosesTask):
    """20 scaffolds of MOSES's scaffold test part, which no training molecule has, and 20 molecules sampled for each.

    The budget's test examples are the molecules for each scaffold. Scores: the fraction of molecules that hold the
    scaffold as a substructure when only their words ask for it ("steers"); of molecules that start as the scaffold,
    unless the row says otherwise, the fraction whose own scaffold is exactly that one, and the fraction of different
    molecules among those that hold it.
    """

    version = "3"  # "steers" in place of "holds"; drawn again instead of repaired, temperature 0.9
    metric_names = ("steers", "exact scaffold", "different", "holds")  # the last in records of version 2 only
    draws = True
    group = "scaffolds"
    sources = ("moses",)
    needs = MosesTask.needs | {GRAPH_WORDS}

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Sample for every scaffold."""
        return score_scaffolds(subject, context.budget.test_examples or MOLECULES, context)
