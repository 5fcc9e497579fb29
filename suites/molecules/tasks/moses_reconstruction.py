"""Held-out molecules of MOSES, encoded into graph words and written again: how many come back exactly?"""

from dataclasses import replace
from typing import Any

from sparsebench.reports.panels.molecules import Drawn, MoleculeSet, to_details

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import GRAPH_WORDS
from ..generation.moses import MosesTask, test_set
from ..generation.reconstruction import reconstruct

MOLECULES = 1000
PATH = 6
"""Molecules on the path between two."""


class MosesReconstruction(MosesTask):
    """The first 1,000 (or as many as the budget has test examples) of the test part in a fixed random order."""

    version = "1"
    metric_names = ("exact", "exact K=*")
    group = "reconstruction"
    sources = ("moses",)
    needs = MosesTask.needs | {GRAPH_WORDS}

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Fraction of the molecules that come back, with all words and with 1, 2, 4, 8 of them; a path between two."""
        smiles = test_set()[: context.budget.test_examples or MOLECULES]
        scores = reconstruct(subject, smiles)
        path = []
        for place, one in enumerate(subject.pipeline().interpolate(smiles[0], smiles[1], PATH)):
            path.append(Drawn(one.smiles or "", f"{place / (PATH - 1):.1f}"))
        drawn = MoleculeSet("between the words of two held-out molecules", "path", tuple(path))
        return replace(scores, details=to_details([drawn]))
