"""What a user's folder says of the columns of its table."""

from pathlib import Path

import pytest

from sparsebench.data.errors import TableError
from sparsebench.data.own.columns import Columns
from sparsebench.data.own.table_folder import columns_text, read_columns


def test_columns_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "columns.json"
    for content in ("", "[]", '{"input": "a"}', '{"input": 1, "targets": []}', '{"input": "a", "targets": "b"}'):
        file.write_text(content)
        with pytest.raises(TableError, match="must be as"):
            read_columns(file)


def test_columns_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "columns.json"
    columns = Columns("SMILES", ("logS", "logP"), "fold")
    file.write_text(columns_text(columns))
    assert read_columns(file) == columns
