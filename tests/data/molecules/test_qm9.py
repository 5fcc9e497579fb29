import gzip
from pathlib import Path

import pytest

from sparsebench.data.errors import DataError
from sparsebench.data.molecules.qm9 import qm9


def test_the_folder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_QM9", raising=False)
    with pytest.raises(DataError, match="SPARSEBENCH_QM9"):
        qm9()


def test_another_file_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "qm9_smiles.csv.gz", "wt") as file:
        file.write("smiles\nC\n")
    with pytest.raises(DataError, match="qm9"):
        qm9(tmp_path)
