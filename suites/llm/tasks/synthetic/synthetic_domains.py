"""Continual pre-training on letters of a Markov chain, read forwards and backwards (smoke test only)"""

from typing import Any

from ..._markov import markov_documents
from ...training.pretraining import PretrainingTask

VAL = 4
"""Documents of the calibration half that are held out."""


class SyntheticDomains(PretrainingTask):
    """Needs no download: two domains of 24 documents of 600 letters, 20 of them for training."""

    version = "1"
    group = "continual pre-training"
    domains = ("forwards", "backwards")
    calibration_domains = domains
    window = 64

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Documents of the chain; "train" and "val" are parts of "calibration"."""
        documents = markov_documents("test" if part == "test" else "calibration")
        if part == "train":
            documents = documents[:-VAL]
        if part == "val":
            documents = documents[-VAL:]
        if domain == "backwards":
            documents = tuple(document[::-1] for document in documents)
        return documents
