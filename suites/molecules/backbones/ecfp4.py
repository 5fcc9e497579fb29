"""ECFP4 fingerprint, 2,048 bits: nothing learned (Rogers and Hahn, 2010)

In a comparison of 25 embedding models on 25 sets (arXiv 2508.06199), almost none was better: the baseline to beat.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sparsebench.models.molecules.smiles import parse

from ...prediction.feature_extractor import FeatureExtractor
from ..features.once import featurise_once
from ..metrics.fingerprints import morgan

SOURCES = ()
TRAITS = ("features",)

_fingerprints: dict[str, Tensor] = {}


class FingerprintBody(FeatureExtractor):
    """ECFP4 of 2,048 bits (Rogers and Hahn, 2010). Nothing to train; hashing counts in no FLOP and in no latency."""

    width = 2048
    unit = "molecule"

    def encode(self, raw: Sequence[str]) -> list[Tensor]:
        """Bits, uint8 (2048,), of each SMILES. Raises ValueError with the row of an invalid string."""
        return featurise_once(_fingerprints, raw, self._bits)

    def _bits(self, raw: Sequence[str]) -> Tensor:
        return torch.from_numpy(morgan(parse(raw), self.width))

    def collate(self, items: list[Tensor]) -> Tensor:
        """Float32 (B, 2048) of zeros and ones."""
        return torch.stack(items).float()

    def forward(self, inputs: Tensor) -> Tensor:
        """The fingerprints themselves."""
        return inputs


def load(generator: torch.Generator, argument: str | None = None) -> FingerprintBody:
    """The fingerprint. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'ecfp4' takes no argument, not {argument!r}")
    return FingerprintBody()
