"""Internal diversity, and similarity to the nearest neighbour."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.DataStructs import BulkTanimotoSimilarity

from sparsebench.suites.molecules.metrics.diversity import internal_diversity, nearest_similarities, snn
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


def test_nearest_agrees_with_rdkit(molecules: list[Chem.Mol]):
    expected = slow_similarities(molecules[:80], molecules[80:]).max(1)
    bits = morgan(molecules)
    assert bits.shape == (300, 1024) and bits.dtype == np.uint8
    np.testing.assert_allclose(nearest_similarities(bits[:80], bits[80:]), expected, rtol=1e-12)
    metric = snn(bits[:80], bits[80:])
    assert metric.value == pytest.approx(expected.mean()) and metric.stderr == pytest.approx(
        expected.std(ddof=1) / 80**0.5
    )


def test_nearest_over_many_blocks(molecules: list[Chem.Mol]):
    """A reference of several blocks, in any order, of which each sees only a part of the sizes."""
    bits = morgan(molecules)
    reference = np.tile(bits[100:], (20, 1))[np.random.default_rng(0).permutation(4000)]
    np.testing.assert_array_equal(
        nearest_similarities(bits[:100], reference), nearest_similarities(bits[:100], bits[100:])
    )


def test_a_member_of_the_reference_is_its_own_neighbour(molecules: list[Chem.Mol]):
    bits = morgan(molecules)
    assert snn(bits, bits).value == 1 and snn(bits, bits).stderr == 0
    assert snn(bits[:1], bits).stderr is None
