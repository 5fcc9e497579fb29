"""Molecules built in code: always the same, different from each other, and real."""

from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcNumRings

from sparsebench.suites.molecules.synthetic_molecules import COUNT, synthetic_molecules


def test_they_are_many_different_molecules_and_always_the_same() -> None:
    first = synthetic_molecules()
    synthetic_molecules.cache_clear()
    assert synthetic_molecules() == first
    assert len(set(first)) == len(first) == COUNT
    assert len({Chem.CanonSmiles(text) for text in first}) >= COUNT - 1, "two strings may be one molecule"


def test_some_have_rings_and_some_have_none() -> None:
    rings = [CalcNumRings(Chem.MolFromSmiles(text)) for text in synthetic_molecules()]
    assert min(rings) == 0 and max(rings) > 2
