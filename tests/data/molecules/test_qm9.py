import gzip
from pathlib import Path

import pytest

from sparsebench.data.errors import DataError
from sparsebench.data.molecules.qm9 import HARTREE, PROPERTIES, qm9, qm9_labels


def test_the_folder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_QM9", raising=False)
    with pytest.raises(DataError, match="SPARSEBENCH_QM9"):
        qm9()


def test_another_file_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "qm9_smiles.csv.gz", "wt") as file:
        file.write("smiles\nC\n")
    with pytest.raises(DataError, match="qm9"):
        qm9(tmp_path)


def test_a_copy_of_the_user_s_has_its_energies_in_electronvolts(tmp_path: Path) -> None:
    file = tmp_path / "qm9.csv"
    file.write_text("mol_id,smiles,mu,homo,lumo,gap\ngdb_1,C,0,-0.3877,0.1171,0.5048\ngdb_2,C(,1,0,0,0\n")
    table = qm9_labels("gap", "qm9-labels", tmp_path)
    assert (table.smiles, table.units, table.target_names) == (["C"], ("eV",), ("gap",))
    assert table.targets.tolist() == [[0.5048 * HARTREE]] and 13.7 < table.targets.item() < 13.8
    assert [one.smiles for one in table.rejected] == ["C("]
    assert qm9_labels("mu", "qm9-labels", tmp_path).targets.tolist() == [[0.0]]
    with pytest.raises(DataError, match=r"qm9\.csv has no column alpha: it is not QM9"):
        qm9_labels("alpha", "qm9-labels", tmp_path)
    with pytest.raises(DataError, match="QM9 is read for mu, alpha, homo, lumo, gap, not for 'price'"):
        qm9_labels("price", "qm9-labels", tmp_path)
    file.unlink()
    with pytest.raises(DataError, match=r"has no qm9\.csv"):
        qm9_labels("gap", "qm9-labels", tmp_path)


@pytest.mark.data
def test_the_molecules_of_the_package_have_orbitals_that_give_the_gap() -> None:
    homo, lumo, gap = (qm9_labels(name) for name in ("homo", "lumo", "gap"))
    assert len(gap) == 1006 and not gap.rejected
    # Of four digits in hartree, each rounded by itself.
    assert abs(lumo.targets - homo.targets - gap.targets).max() < 2 * 0.0001 * HARTREE
    assert all(len(qm9_labels(name)) == 1006 for name in PROPERTIES)
