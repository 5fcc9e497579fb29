"""Which of four distributions were the letters of a text drawn from? (smoke test only)"""

import numpy as np

from sparsebench.data.labelled.table import Parts, hashed_parts, labelled

from ....contracts.context import Target
from ...encoders.task import TextTask

LETTERS = "abcdefghijklmnop"
CLASSES, TEXTS, SEED = 4, 192, 5
SHORTEST, LONGEST = 4, 40
CONCENTRATION = 0.5
"""Concentration of the Dirichlet distribution of the letters' probabilities: small values make classes easy to
distinguish.
"""


class SyntheticTexts(TextTask):
    """Needs no download; texts of 4 to 40 letters."""

    version = "1"
    target = Target("classification", CLASSES)

    def parts(self) -> Parts:
        """96 train, 32 val, 64 test."""
        generator = np.random.default_rng(SEED)
        weights = generator.dirichlet(np.full(len(LETTERS), CONCENTRATION), size=CLASSES)
        labels = [index % CLASSES for index in range(TEXTS)]
        lengths = generator.integers(SHORTEST, LONGEST, size=TEXTS)
        texts = [
            "".join(generator.choice(list(LETTERS), size=length, p=weights[label]))
            for label, length in zip(labels, lengths, strict=True)
        ]
        return hashed_parts(labelled(texts, [str(label) for label in labels]), val=32, test=64)
