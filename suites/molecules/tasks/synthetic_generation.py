"""Random molecules built in code, to be written again and sampled; smoke test only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import GRAPH_WORDS, REFERENCES, TRAINING_DATA
from ..generation.reconstruction import reconstruct
from ..generation.sampler import valid_fraction
from ..generation.task import GenerationTask
from ..synthetic_molecules import synthetic_molecules

TRAIN = 200  # of 240


class SyntheticGeneration(GenerationTask):
    """The molecules of `synthetic`, the last 40 for testing; sampled ones should at least exist."""

    version = "2"  # drawn again instead of repaired
    metric_names = ("exact", "exact K=*", "valid")
    group = "generation smoke test"
    draws = True
    gives = GenerationTask.gives | {TRAINING_DATA, REFERENCES}
    needs = GenerationTask.needs | {GRAPH_WORDS}

    def training_set(self) -> Sequence[str]:
        """The first 200."""
        return synthetic_molecules()[:TRAIN]

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Exact reconstruction, and validity of ten sampled molecules."""
        generated = subject.sample(10, synthetic_molecules()[:10], context.task_generator("sampling"))
        scores = reconstruct(subject, synthetic_molecules()[TRAIN:][: context.budget.test_examples])
        return replace(scores, metrics={**scores.metrics, "valid": valid_fraction(generated)})
