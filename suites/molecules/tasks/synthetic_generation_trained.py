"""Random molecules built in code, to be learnt and drawn anew; smoke test only."""

from collections.abc import Sequence
from typing import Any

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..generation.sampler import draws_per_kept, valid_fraction
from ..generation.trained import TrainedGeneration
from ..metrics.reading import copies, novelty, read
from ..synthetic_molecules import synthetic_molecules

TRAIN = 200  # of 240


class SyntheticGenerationTrained(TrainedGeneration):
    """The first 200 molecules of `synthetic`; of ten that are drawn some should exist."""

    version = "1"
    metric_names = ("valid", "Novelty", "copies", "draws per kept")
    group = "generation smoke test"
    draws = True

    def training_set(self) -> Sequence[str]:
        """The first 200."""
        return synthetic_molecules()[:TRAIN]

    def training_part(self) -> Sequence[str]:
        """The same."""
        return self.training_set()

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """What of ten molecules is valid, new and copied."""
        generated = subject.sample(10, self.training_set()[:10], context.task_generator("sampling"))
        metrics = {"valid": valid_fraction(generated), "draws per kept": draws_per_kept(generated)}
        smiles = read([one.smiles for one in generated]).smiles
        if smiles:
            known = set(self.training_set())
            metrics |= {"Novelty": novelty(smiles, known), "copies": copies(smiles, known)}
        return Scores("valid", metrics, {"smiles": [one.smiles for one in generated]})
