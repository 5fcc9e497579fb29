"""MOSES: are new molecules like those of a large set, without being copies? (Polykovskiy et al., arXiv 1811.12823)."""

from typing import Any

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import REFERENCES
from ..generation.moses import MosesTask
from ..generation.novel import NOVEL_NAMES, score_new


class MosesGeneration(MosesTask):
    """All metrics of MOSES against its test part, of 1,000 molecules or as many as the budget has test examples.

    FCD and some others move with the number of molecules: a row that gives fewer, since some cannot be read, has none
    of these, and "valid" is its main metric. Training molecules serve few-shot as references; "copies" says how much of
    what came out is in the training set.
    """

    version = "2"  # drawn again instead of repaired, temperature 0.9; equal numbers only
    metric_names = NOVEL_NAMES
    draws = True
    group = "generation"
    sources = ("moses", "chemnet")
    gives = MosesTask.gives | {REFERENCES}

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """See `score_new`."""
        return score_new(self, subject, context)
