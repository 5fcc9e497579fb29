"""Molecules with a wanted scaffold, one that training never saw: do they hold it, and no other?"""

from typing import Any

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..generation.moses import MosesTask
from ..generation.scaffolds import hold_scaffolds

MOLECULES = 20


class ScaffoldGeneration(MosesTask):
    """20 scaffolds of MOSES's scaffold test part, which no training molecule has, and 20 molecules sampled for each.

    The budget's test examples are the molecules for each scaffold. Scores: the fraction of molecules that hold the
    scaffold as a substructure, the fraction whose own scaffold is exactly that one, and the fraction of different
    molecules among those that hold it.
    """

    version = "2"  # molecules start as the scaffold
    metric_names = ("holds", "exact scaffold", "different")
    draws = True
    group = "scaffolds"
    sources = ("moses",)

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Sample for every scaffold."""
        return hold_scaffolds(subject, context.budget.test_examples or MOLECULES, context)
