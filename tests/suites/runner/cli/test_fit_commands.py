"""`fit` and `predict` on the command line: mistakes are one line and write nothing; predictions go to a file."""

from pathlib import Path

import pytest

from ..fit.conftest import fitted, molecules

__all__ = ["fitted", "molecules"]


@pytest.mark.parametrize("arguments", [("fit", "nowhere"), ("predict", "nowhere", "data.csv"), ("fit", "data.csv")])
def test_a_mistake_is_one_line(sparsebench, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    code, _, err = sparsebench(*arguments)
    assert code == 2 and err.count("\n") == 1 and err.startswith("sparsebench: ")
    assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]


def test_predict(sparsebench, fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("SMILES\nCCO\nxx\n")
    code, out, err = sparsebench("predict", str(fitted), "new.csv")
    assert code == 0, err
    assert "1 ok, 1 unreadable; written to new-predictions.csv" in out
    assert "row 2: unreadable: not a SMILES string" in out
    (tmp_path / "bad.csv").write_text("SMILES\nxx\n")
    assert sparsebench("predict", str(fitted), "bad.csv", "--out", "bad.parquet")[0] == 1
    assert sparsebench("predict", str(fitted), "new.csv")[0] == 2, "the file is there"
