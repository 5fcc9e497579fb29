"""ECFP4 fingerprint, 2,048 bits or counts (`ecfp4:counts`): nothing learned (Rogers and Hahn, 2010)

In a comparison of 25 embedding models on 25 sets (arXiv 2508.06199), almost none was better: the baseline to beat.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from rdkit.Chem import Mol
from torch import Tensor

from sparsebench.models.molecules.smiles import parse

from ...prediction.feature_extractor import FeatureExtractor
from ..features.once import featurise_once
from ..metrics.fingerprints import morgan, morgan_counts

SOURCES = ()
TRAITS = ("features",)

_fingerprints: dict[bool, dict[str, Tensor]] = {False: {}, True: {}}


class FingerprintBody(FeatureExtractor):
    """ECFP4 of 2,048 places (Rogers and Hahn, 2010): whether an environment is there, or, with `counts`, how often.

    Nothing to train; hashing counts in no FLOP and in no latency.
    """

    width = 2048
    unit = "molecule"

    def __init__(self, counts: bool = False) -> None:
        super().__init__()
        self.counts = counts

    def encode(self, raw: Sequence[str]) -> list[Tensor]:
        """Bits, uint8 (2048,), or counts, int32, of each SMILES.

        Raises ValueError with the row of an invalid string.
        """
        return featurise_once(_fingerprints[self.counts], raw, self._places)

    def _places(self, raw: Sequence[str]) -> Tensor:
        take: Callable[[Sequence[Mol], int], np.ndarray] = morgan_counts if self.counts else morgan
        return torch.from_numpy(take(parse(raw), self.width))

    def collate(self, items: list[Tensor]) -> Tensor:
        """Float32 (B, 2048)."""
        return torch.stack(items).float()

    def forward(self, inputs: Tensor) -> Tensor:
        """The fingerprints themselves."""
        return inputs


def load(generator: torch.Generator, argument: str | None = None) -> FingerprintBody:
    """The fingerprint. Raises ValueError for an argument that is not "counts"."""
    if argument not in (None, "counts"):
        raise ValueError(f"backbone 'ecfp4' takes no argument but counts, as in ecfp4:counts, not {argument!r}")
    return FingerprintBody(counts=argument == "counts")
