"""Files appear when they are whole."""

from pathlib import Path

import pyarrow as pa
import pytest

from sparsebench.suites.molecules.verbs.outputs import Parts, csv_rows


def test_a_table_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), csv_rows(tmp_path / "a.csv", ("x",)) as writer:
        writer.writerow({"x": 1})
        raise OSError("full")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_joining_keeps_the_parts(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "a.parquet", {"of": 1})
    for number in range(2):
        parts.write(number, pa.table({"x": [number]}))
    for _ in parts.join(2):
        assert not (tmp_path / "a.parquet").exists()
        break
    again = Parts(tmp_path / "a.parquet", {"of": 1})
    assert 0 in again and 1 in again and 2 not in again
    assert [rows["x"].to_pylist() for rows in again.join(2)] == [[0], [1]]
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]
