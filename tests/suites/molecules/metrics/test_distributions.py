from typing import Any

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem.Crippen import MolLogP
from rdkit.Chem.Descriptors import MolWt
from rdkit.Chem.QED import qed
from scipy.linalg import sqrtm

from sparsebench.suites.molecules.metrics.distributions import (
    frechet_chemnet_distance,
    frechet_distance,
    gaussian,
    property_values,
    wasserstein,
)


def test_values_have_their_names():
    molecules = [Chem.MolFromSmiles(text) for text in ("CCO", "c1ccncc1C(=O)NC")]
    values = property_values(molecules)
    assert list(values) == ["logP", "SA", "QED", "weight"]
    for name, function in (("logP", MolLogP), ("QED", qed), ("weight", MolWt)):
        np.testing.assert_allclose(values[name], [function(molecule) for molecule in molecules])
    assert (values["SA"] >= 1).all() and (values["SA"] <= 10).all()


def test_no_molecules():
    assert all(len(sample) == 0 for sample in property_values([]).values())
    with pytest.raises(ValueError):
        wasserstein([], [1.0])


def test_wasserstein_agrees_with_sorted_differences():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=500), generator.normal(1, 2, size=500)
    metric = wasserstein(a, b, "Da")
    assert metric.value == pytest.approx(np.abs(np.sort(a) - np.sort(b)).mean())
    assert metric.unit == "Da" and metric.n == 500 and not metric.higher_is_better
    assert wasserstein(a, a + 3).value == pytest.approx(3) and wasserstein(a, a).value == 0


def sample(seed: int, n: int = 200, width: int = 12) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, width)) @ generator.normal(size=(width, width)) + generator.normal(size=width)


def slow_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The formula as published, with a general matrix root."""
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = sqrtm(cov_a @ cov_b).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root))


def test_agrees_with_the_matrix_root():
    a, b = sample(0), sample(1)
    metric = frechet_chemnet_distance(a, *gaussian(b))
    assert metric.value == pytest.approx(slow_distance(a, b), rel=1e-9) and metric.n == 200
    assert frechet_chemnet_distance(b, *gaussian(a)).value == pytest.approx(metric.value)


def test_of_commuting_covariances():
    """Diagonal ones: the sum of the squared differences of means and of standard deviations."""
    s, t = np.array([1.0, 2, 3, 0]), np.array([2.0, 2, 1, 5])
    distance = frechet_distance(np.zeros(4), np.diag(s**2), np.ones(4), np.diag(t**2))
    assert distance == pytest.approx(4 + ((s - t) ** 2).sum())


def test_to_itself_is_zero():
    a = sample(2)
    assert frechet_chemnet_distance(a, *gaussian(a)).value == pytest.approx(0, abs=1e-9)


def test_of_fewer_molecules_than_dimensions():
    a, b = sample(3, n=5), sample(4)
    assert frechet_chemnet_distance(a, *gaussian(b)).value == pytest.approx(slow_distance(a, b), rel=1e-5)
    with pytest.raises(ValueError, match="two molecules"):
        frechet_chemnet_distance(a[:1], *gaussian(b))


def test_few_molecules_bias_it_upwards():
    """The reason why only FCDs of equally many molecules may be compared: here the true distance is 0."""
    population = sample(5, n=100_000)
    reference = gaussian(population)
    means = [
        np.mean([frechet_chemnet_distance(population[k * n :][:n], *reference).value for k in range(20)])
        for n in (50, 500)
    ]
    assert 7 < means[0] / means[1] < 14  # about 1 / n


@pytest.mark.data
def test_packaged_reference_to_itself_is_zero(packaged: dict[str, Any]):
    own = packaged["FCD"]["mu"], packaged["FCD"]["sigma"]
    assert frechet_distance(*own, *own) == pytest.approx(0, abs=1e-9)
