"""Typed columns, and equal bytes of equal rows."""

import io

import pyarrow
import pytest
from pyarrow import parquet

from sparsebench.reports.tables.parquet_bytes import to_parquet

NAMES = ("id", "seed", "value", "n", "main", "numbers", "texts")
ROWS = [("a", 1, 0.5, 3, True, [1.0], None), ("b", -(2**63), None, None, None, None, ["x", "y"])]


def test_columns_have_types_and_what_is_missing_stays_missing() -> None:
    content = to_parquet(NAMES, ROWS)
    table = parquet.read_table(io.BytesIO(content), page_checksum_verification=True)
    kinds = ["string", "int64", "double", "int64", "bool", "list<element: float>", "list<element: string>"]
    assert [str(kind) for kind in table.schema.types] == kinds
    assert list(map(tuple, (row.values() for row in table.to_pylist()))) == [ROWS[0], ("b", None, *ROWS[1][2:])]
    assert content == to_parquet(NAMES, ROWS)


def test_columns_can_be_left_out_and_other_types_are_refused() -> None:
    assert parquet.read_schema(io.BytesIO(to_parquet(NAMES, ROWS, without=("main",)))).names == [
        *NAMES[:4],
        *NAMES[5:],
    ]
    with pytest.raises(pyarrow.ArrowException):
        to_parquet(("seed", "value"), [(1, "much")])
