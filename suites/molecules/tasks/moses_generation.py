"""MOSES: are new molecules like those of a large set, without being copies? (Polykovskiy et al., arXiv 1811.12823)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sparsebench.reports.panels.molecules import to_details
from sparsebench.reports.record import Metric

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..metrics.moses import moses_metrics
from ..metrics.share import share
from ..moses_task import MosesTask, grid, training_set

MOLECULES = 1000


class MosesGeneration(MosesTask):
    """All metrics of MOSES against its test part, of 1,000 molecules or as many as the budget has test examples.

    FCD falls with their number: compare equal numbers only. Training molecules serve few-shot as references.
    """

    version = "1"
    draws = True
    group = "generation"
    sources = ("moses", "chemnet")
    few_shot = True

    def evaluate(self, sampler: Any, context: Context) -> tuple[Scores, Mapping[str, Any]]:
        """ "repaired" is the share of molecules in which constraints replaced an edge."""
        count = context.budget.test_examples or MOLECULES
        references = self.training_molecules(count, context.task_generator("references"))
        made = sampler.draw(count, references, context.task_generator("sampling"))
        metrics: dict[str, Metric] = dict(moses_metrics([one.smiles for one in made], training=training_set()))
        metrics["repaired"] = replace(share(sum(one.repaired > 0 for one in made), len(made)), higher_is_better=False)
        main = "FCD/Test" if "FCD/Test" in metrics else "valid"
        drawn = grid(f"the first of {count:,} molecules, seed {context.seed}", made)
        return Scores(main, metrics, {"smiles": [one.smiles for one in made]}), to_details([drawn])
