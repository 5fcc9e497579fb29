import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem.Crippen import MolLogP
from rdkit.Chem.Descriptors import MolWt
from rdkit.Chem.QED import qed

from sparsebench.suites.molecules.metrics.distributions import property_values, wasserstein


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
