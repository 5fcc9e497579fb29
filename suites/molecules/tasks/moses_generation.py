"""MOSES: are new molecules like those of a large set, without being copies? (Polykovskiy et al., arXiv 1811.12823)."""

from typing import Any

from sparsebench.reports.panels.molecules import to_details

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import REFERENCES
from ..generation.moses import MosesTask, grid
from ..generation.sampler import repaired_fraction
from ..metrics.moses import METRIC_NAMES, moses_metrics

MOLECULES = 1000


class MosesGeneration(MosesTask):
    """All metrics of MOSES against its test part, of 1,000 molecules or as many as the budget has test examples.

    FCD falls with their number: compare equal numbers only. Training molecules serve few-shot as references.
    """

    version = "1"
    metric_names = (*METRIC_NAMES, "repaired")
    draws = True
    group = "generation"
    sources = ("moses", "chemnet")
    gives = MosesTask.gives | {REFERENCES}

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """ "repaired" is the fraction of molecules in which constraints replaced an edge."""
        count = context.budget.test_examples or MOLECULES
        references = self.training_molecules(count, context.task_generator("references"))
        generated = subject.sample(count, references, context.task_generator("sampling"))
        smiles = [one.smiles for one in generated]
        metrics = dict(moses_metrics(smiles, training=self.training_set()))
        metrics["repaired"] = repaired_fraction(generated)
        main = "FCD/Test" if "FCD/Test" in metrics else "valid"
        drawn = grid(f"the first of {count:,} molecules, seed {context.seed}", generated)
        return Scores(main, metrics, {"smiles": smiles}, to_details([drawn]))
