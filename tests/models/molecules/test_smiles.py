"""Parsing of SMILES strings: molecules in order, or the row that is none."""

import pytest
from rdkit import Chem

from sparsebench.models.errors import ModelError
from sparsebench.models.molecules.smiles import parse


def test_molecules_come_in_order() -> None:
    assert [Chem.MolToSmiles(molecule) for molecule in parse(iter(["OCC", "C1=CC=CC=C1"]))] == ["CCO", "c1ccccc1"]
    assert parse([]) == []


@pytest.mark.parametrize("bad", ["C1CC", "", "C(C)(C)(C)(C)C"])
def test_the_error_names_row_and_string(bad: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="row 2: ") as caught:
        parse(["C", "CC", bad, "C1"])
    assert repr(bad) in str(caught.value) and isinstance(caught.value, ValueError)
    assert capfd.readouterr().err == ""
