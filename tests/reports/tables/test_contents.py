"""Rows on other data of the user's: no comparison of theirs says anything."""

import dataclasses

from sparsebench.reports.records.record import DataInfo
from sparsebench.reports.tables.comparison import compare
from sparsebench.reports.tables.contents import content_of
from sparsebench.reports.tables.matrix import matrices


def on(digest, records):
    """The records with such a folder of the user's, and kernels, which are compiled on each machine."""
    kernel = DataInfo(source="native/experts", version="", sha256=f"{digest}c0", licence="")
    own = DataInfo(source="own-molecules", version="yours", sha256=digest * 32, licence="yours")
    pinned = DataInfo(source="digits", version="1.6", sha256=f"{digest}d1", licence="BSD-3-Clause")
    return [dataclasses.replace(record, data=[own, pinned, kernel]) for record in records]


def test_only_what_the_user_puts_there_has_a_content(make):
    (record,) = on("aa", [make.record("a")])
    assert content_of(record) == {"own-molecules": "aa" * 32}


def test_rows_on_other_content_are_not_compared(make):
    """One name and one version, but another table in the folder: the answers are to other questions."""
    a = on("aa", make.side("a", [0.8, 0.9]))
    b = make.side("b", [0.8, 0.9])
    (line,) = compare(a, on("bb", b))
    assert (line.outcome, line.reason) == ("not comparable", "own-molecules held other data")
    (line,) = compare(a, on("aa", b))
    assert line.reason is None


def test_each_content_has_a_column_of_its_own(make):
    """Folders that are read together: rows on other data are in no comparison and no average."""
    one = on("aa", [make.record("base"), make.record("a")])
    (matrix,) = matrices([*one, *on("cc", [make.record("b", status="failed", reason="there is no folder")])])
    assert [column.name for column in matrix.columns] == ["t"], "what failed is no further content"
    (matrix,) = matrices([*one, *on("bb", [make.record("base"), make.record("b")])])
    assert [column.name for column in matrix.columns] == ["t@1, own-molecules aaaaaaaa", "t@1, own-molecules bbbbbbbb"]
    base, a, b = matrix.rows
    assert not matrix.paired(a, b, matrix.columns)
    assert len(matrix.paired(b, base, matrix.columns)) == 1
    assert [len(family) for family in matrix.families] == [1, 1]
