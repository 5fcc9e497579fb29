"""ECFP4 fingerprint, 2,048 bits: nothing learned (Rogers and Hahn, 2010)

In a comparison of 25 embedding models on 25 sets (arXiv 2508.06199), almost none was better: the baseline to beat.
"""

import torch

from ..features.fingerprint import FingerprintBody

SOURCES = ()
TRAITS = ("features",)


def load(generator: torch.Generator, argument: str | None = None) -> FingerprintBody:
    """The fingerprint. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'ecfp4' takes no argument, not {argument!r}")
    return FingerprintBody()
