"""QM9 (your folder): train GraphsGPT from scratch, then encode and rewrite molecules that it never saw."""

from collections.abc import Sequence
from typing import Any

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import TRAINING_DATA
from ..generation.qm9 import qm9_parts
from ..generation.reconstruction import reconstruct
from ..generation.task import GenerationTask


class QM9Reconstruction(GenerationTask):
    """Fractions of 1,000 test molecules that come back exactly, after training on up to 100,000 others."""

    version = "1"
    metric_names = ("exact", "exact K=*")
    group = "reconstruction"
    sources = ("qm9",)
    gives = GenerationTask.gives | {TRAINING_DATA}

    def training_set(self) -> Sequence[str]:
        """Up to 100,000, without a twin in the test part."""
        train, _ = qm9_parts()
        return train

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Encode and decode the test molecules."""
        _, test = qm9_parts()
        return reconstruct(subject, test[: context.budget.test_examples])
