"""Hashed words and pairs of words, 4,096 columns: nothing learned, nothing downloaded

Counts of words and of neighbours, hashed into columns without a sign (Weinberger et al., arXiv 0902.2206), logarithms
of counts as in Salton and Buckley (1988), each text of length one: the baseline that an encoder has to beat.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparsebench.data.labelled.table import Text, normal_form

from ...prediction.feature_extractor import FeatureExtractor

SOURCES = ()
TRAITS = ("features",)
WIDTH = 4096


class HashedWords(FeatureExtractor):
    """Texts -> features (N, 4096). Nothing to train; hashing counts in no FLOP and in no latency."""

    width = WIDTH
    unit = "text"

    def encode(self, raw: Sequence[Text]) -> list[Tensor]:
        """Float32 (4096,) of each text or pair; zeros for a text without a word."""
        from sklearn.feature_extraction.text import HashingVectorizer

        if not len(raw):
            return []
        options: dict[str, Any] = {"norm": None, "token_pattern": r"(?u)\b\w+\b"}
        hashing = HashingVectorizer(n_features=WIDTH, ngram_range=(1, 2), alternate_sign=False, **options)
        counts: Any = hashing.transform([normal_form(text) for text in raw])
        rows = torch.from_numpy(np.log1p(counts.toarray())).float()
        return list(torch.nn.functional.normalize(rows, dim=1))

    def forward(self, inputs: Tensor) -> Tensor:
        """The features themselves."""
        return inputs


def load(generator: torch.Generator, argument: str | None = None) -> HashedWords:
    """The hashing. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'hashed_words' takes no argument, not {argument!r}")
    return HashedWords()
