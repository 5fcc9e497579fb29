import sys
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from sparsebench.data.molecules.moses import moses, moses_statistics
from sparsebench.data.molecules.properties import PROPERTIES, properties


def test_known_values():
    """Aspirin: MolWt 180.159 and Crippen logP 1.310 are in every descriptor table, QED 0.550 in RDKit's, SA 1.58."""
    assert PROPERTIES == ("logp", "qed", "sa", "mw")
    values = properties("CC(=O)Oc1ccccc1C(=O)O")
    assert values.shape == (4,) and values.dtype == np.float64
    np.testing.assert_allclose(values, [1.3101, 0.5501, 1.58, 180.159], atol=2e-3)


def test_a_molecule_and_its_string_agree():
    np.testing.assert_array_equal(properties(Chem.MolFromSmiles("c1ccncc1O")), properties("c1ccncc1O"))


@pytest.mark.parametrize("text", ["", "C(", "c1ccccc", "C(C)(C)(C)(C)C", "no molecule", None, float("nan"), Chem.Mol()])
def test_what_cannot_be_read_is_nan(text: Any, capfd: pytest.CaptureFixture):
    assert np.isnan(properties(text)).all()
    assert capfd.readouterr().err == ""


def test_a_molecule_that_was_not_sanitised_is_nan():
    assert np.isnan(properties(Chem.MolFromSmiles("c1ccccc1O", sanitize=False))).all()


@pytest.mark.parametrize("text", ["C", "[Na+].[Cl-]", "[2H]O[2H]", "[Se]", "*C", "[H][H]", "C1CCCCCCCCCCCCCC1"])
def test_unusual_molecules_have_finite_values(text: str):
    logp, qed, sa, mw = properties(text)
    assert np.isfinite(logp) and 0 <= qed <= 1 and 1 <= sa <= 10 and mw > 0


def test_the_search_path_stays_as_it_was():
    before = list(sys.path)
    properties("C")
    assert sys.path == before


@pytest.mark.data
def test_agrees_with_the_statistics_of_moses():
    """With RDKit 2026.9 all values of 3,000 molecules are the same; another version may move a few."""
    statistics = moses_statistics("test")
    computed = np.array([properties(text) for text in moses("test", limit=200)])
    for column, name in enumerate(("logP", "QED", "SA", "weight")):
        stated = np.asarray(statistics[name]["values"])[:200]
        assert np.isclose(computed[:, column], stated, atol=1e-6).mean() > 0.95, name
