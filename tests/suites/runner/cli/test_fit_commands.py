"""`predict` on the command line: predictions go to a file. Mistakes: `tests/faults/verbs`."""

from pathlib import Path

from ..fit.conftest import fitted, molecules

__all__ = ["fitted", "molecules"]


def test_predict(sparsebench, fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("SMILES\nCCO\nxx\n")
    code, out, err = sparsebench("predict", str(fitted), "new.csv")
    assert code == 0, err
    assert "1 ok, 1 unreadable of column 'SMILES'; written to new-predictions.csv" in out
    assert "row 2: unreadable: not a SMILES string" in out
    (tmp_path / "bad.csv").write_text("SMILES\nxx\n")
    assert sparsebench("predict", str(fitted), "bad.csv", "--out", "bad.parquet")[0] == 1
    assert sparsebench("predict", str(fitted), "new.csv")[0] == 2, "the file is there"
