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


@pytest.mark.data
def test_the_molecules_of_the_package_have_orbitals_that_give_the_gap() -> None:
    homo, lumo, gap = (qm9_labels(name) for name in ("homo", "lumo", "gap"))
    assert len(gap) == 1006 and not gap.rejected
    # Of four digits in hartree, each rounded by itself.
    assert abs(lumo.targets - homo.targets - gap.targets).max() < 2 * 0.0001 * HARTREE
    assert all(len(qm9_labels(name)) == 1006 for name in PROPERTIES)
