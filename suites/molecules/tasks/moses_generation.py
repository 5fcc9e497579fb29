"""MOSES: are new molecules like those of a large set, without being copies? (Polykovskiy et al., arXiv 1811.12823)."""

from typing import Any

from sparsebench.reports.panels.molecules import to_details
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import REFERENCES
from ..generation.moses import MosesTask, grid
from ..generation.sampler import draws_per_kept, repaired_fraction
from ..metrics.moses import METRIC_NAMES, moses_metrics, moves_with_number
from ..metrics.reading import copies, read

MOLECULES = 1000


class MosesGeneration(MosesTask):
    """All metrics of MOSES against its test part, of 1,000 molecules or as many as the budget has test examples.

    FCD and some others move with the number of molecules: a row that gives fewer, since some cannot be read, has none
    of these, and "valid" is its main metric. Training molecules serve few-shot as references; "copies" says how much of
    what came out is in the training set.
    """

    version = "2"  # drawn again instead of repaired, temperature 0.9; equal numbers only
    metric_names = (*METRIC_NAMES, "repaired", "draws per kept", "copies", "core seconds")
    draws = True
    group = "generation"
    sources = ("moses", "chemnet")
    gives = MosesTask.gives | {REFERENCES}

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """ "repaired" is the fraction of molecules in which constraints replaced an edge, "draws per kept" how many
        were drawn for each that was kept, "core seconds" what training the generator took, where it is known.
        """
        count = context.budget.test_examples or MOLECULES
        references = self.training_molecules(count, context.task_generator("references"))
        generated = subject.sample(count, references, context.task_generator("sampling"))
        smiles = [one.smiles for one in generated]
        known = set(self.training_set())
        metrics = dict(moses_metrics(smiles, training=known))
        if metrics["valid"].value < 1:
            metrics = {name: metric for name, metric in metrics.items() if not moves_with_number(name)}
        metrics["repaired"] = repaired_fraction(generated)
        metrics["draws per kept"] = draws_per_kept(generated)
        if any(smiles):
            metrics["copies"] = copies(read(smiles).smiles, known)
        if subject.core_seconds is not None:
            metrics["core seconds"] = Metric(value=subject.core_seconds, higher_is_better=False, unit="s")
        main = "FCD/Test" if "FCD/Test" in metrics else "valid"
        drawn = grid(f"the first of {count:,} molecules, seed {context.seed}", generated)
        return Scores(main, metrics, {"smiles": smiles}, to_details([drawn]))
