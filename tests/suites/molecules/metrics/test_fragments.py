"""BRICS fragments."""

from collections import Counter

from rdkit import Chem
from rdkit.Chem import BRICS

from sparsebench.suites.molecules.metrics.fragments import fragments


def test_fragments_agree_with_bond_by_bond_cuts(molecules: list[Chem.Mol]):
    expected: Counter[str] = Counter()
    for molecule in molecules:
        expected.update(Chem.MolToSmiles(BRICS.BreakBRICSBonds(molecule)).split("."))
    assert fragments(molecules) == expected
