"""A copy of QM9 of the user's."""

from pathlib import Path

import pytest

from sparsebench.data.errors import DataError
from sparsebench.data.molecules.qm9 import HARTREE
from sparsebench.data.own.qm9 import own_qm9


def test_a_copy_of_the_user_s_has_its_energies_in_electronvolts(tmp_path: Path) -> None:
    file = tmp_path / "qm9.csv"
    file.write_text("mol_id,smiles,mu,homo,lumo,gap\ngdb_1,C,0,-0.3877,0.1171,0.5048\ngdb_2,C(,1,0,0,0\n")
    table = own_qm9("gap", tmp_path)
    assert (table.smiles, table.units, table.target_names) == (["C"], ("eV",), ("gap",))
    assert table.targets.tolist() == [[0.5048 * HARTREE]] and 13.7 < table.targets.item() < 13.8
    assert [one.smiles for one in table.rejected] == ["C("]
    assert own_qm9("mu", tmp_path).targets.tolist() == [[0.0]]
    with pytest.raises(DataError, match=r"qm9\.csv has no column alpha: it is not QM9"):
        own_qm9("alpha", tmp_path)
    with pytest.raises(DataError, match="QM9 is read for mu, alpha, homo, lumo, gap, not for 'price'"):
        own_qm9("price", tmp_path)
    file.unlink()
    with pytest.raises(DataError, match=r"has no qm9\.csv"):
        own_qm9("gap", tmp_path)
