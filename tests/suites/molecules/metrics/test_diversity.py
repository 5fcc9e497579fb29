"""Internal diversity."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.DataStructs import BulkTanimotoSimilarity

from sparsebench.suites.molecules.metrics.diversity import internal_diversity
from sparsebench.suites.molecules.metrics.fingerprints import morgan


def slow_similarities(molecules: list[Chem.Mol], reference: list[Chem.Mol]) -> np.ndarray:
    """RDKit's own fingerprints and Tanimoto similarities, (molecules, reference)."""
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=2, fpSize=1024)
    bits = [generator.GetFingerprint(molecule) for molecule in reference]
    return np.array([BulkTanimotoSimilarity(generator.GetFingerprint(molecule), bits) for molecule in molecules])


def test_internal_diversity_agrees_with_rdkit(molecules: list[Chem.Mol]):
    similarity = slow_similarities(molecules, molecules)
    one, two = internal_diversity(morgan(molecules))
    assert one.value == pytest.approx(1 - similarity.mean(), abs=1e-6)
    assert two.value == pytest.approx(1 - np.sqrt((similarity**2).mean(1)).mean(), abs=1e-6)
    assert one.n == two.n == 300


def test_diversity_of_one_molecule_is_zero(molecules: list[Chem.Mol]):
    bits = morgan(molecules[:1] * 5)
    assert [metric.value for metric in internal_diversity(bits)] == pytest.approx([0, 0], abs=1e-6)
