from collections import Counter

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import BRICS

from sparsebench.suites.molecules.metrics.counters import cosine, fragments, scaffolds


def test_cosine_agrees_with_numpy():
    a, b = Counter(x=3, y=1, z=4), {"y": 2, "z": 5, "w": 100_000}
    u, v = np.array([3, 1, 4, 0]), np.array([0, 2, 5, 100_000])
    assert cosine(a, b, 8).value == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    assert cosine(a, a, 8).value == pytest.approx(1) and cosine(a, {"q": 1}, 8).value == 0


def test_cosine_of_nothing():
    with pytest.raises(ValueError, match="empty"):
        cosine({}, {"x": 1}, 0)


def test_fragments_agree_with_bond_by_bond_cuts(molecules: list[Chem.Mol]):
    expected: Counter[str] = Counter()
    for molecule in molecules:
        expected.update(Chem.MolToSmiles(BRICS.BreakBRICSBonds(molecule)).split("."))
    assert fragments(molecules) == expected


def test_scaffolds():
    smiles = ["CCc1ccccc1-c1ccncc1C", "c1ccc(-c2ccncc2)cc1", "CCc1ccccc1", "CCO", "O=C(Cc1ccccc1)NC1CCCC1C"]
    found = scaffolds(map(Chem.MolFromSmiles, smiles))
    assert found == {"c1ccc(-c2ccncc2)cc1": 2, "O=C(Cc1ccccc1)NC1CCCC1": 1}
