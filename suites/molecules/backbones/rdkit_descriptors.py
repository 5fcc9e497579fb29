"""RDKit's descriptors, about 200 numbers of a molecule: nothing learned

Counts of atoms, rings and 85 functional groups, Crippen's logP, polar surface, charges, topological indices: what a
chemist tries first. Values are as RDKit gives them, some of them infinite or not a number: put `clean_features` first.
"""

from collections.abc import Sequence

import torch
from rdkit.Chem import Descriptors
from torch import Tensor

from sparsebench.models.molecules.smiles import parse

from ...prediction.feature_extractor import FeatureExtractor
from ..features.once import featurise_once

SOURCES = ()
TRAITS = ("features",)

_values: dict[str, Tensor] = {}


class DescriptorBody(FeatureExtractor):
    """All of `rdkit.Chem.Descriptors.descList`, in its order. Nothing to train; computing them counts in no FLOP."""

    width = len(Descriptors.descList)
    unit = "molecule"

    def encode(self, raw: Sequence[str]) -> list[Tensor]:
        """Float32 (width,) of each SMILES, NaN where there is no value, infinite beyond the range of the type.

        Raises ValueError with the row of an invalid string.
        """
        return featurise_once(_values, raw, lambda texts: map(_descriptors, parse(texts)))

    def forward(self, inputs: Tensor) -> Tensor:
        """The descriptors themselves."""
        return inputs


def _descriptors(molecule: object) -> Tensor:
    found = Descriptors.CalcMolDescriptors(molecule, missingVal=float("nan"), silent=True)
    return torch.tensor(list(found.values()), dtype=torch.float64).float()


def load(generator: torch.Generator, argument: str | None = None) -> DescriptorBody:
    """The descriptors. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'rdkit_descriptors' takes no argument, not {argument!r}")
    return DescriptorBody()
