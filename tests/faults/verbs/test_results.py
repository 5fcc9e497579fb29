"""`report`, `compare`, `export-results`, `take-out`, `verify`, `vouch`, `freeze`: no results, no such row."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.reports.records.record import SCHEMA_VERSION
from sparsebench.reports.records.store import MARKER

from .catalogue import Case, copied

NEWER: dict[str, str | bytes | None] = {f"out/{MARKER}": json.dumps({"schema_version": SCHEMA_VERSION + 1})}
BROKEN: dict[str, str | bytes | None] = {f"out/{MARKER}": "{"}
NONE: dict[str, str | bytes | None] = {f"out/{MARKER}": json.dumps({"schema_version": SCHEMA_VERSION})}


def first(results: Path) -> Path:
    return min((results / "records").glob("*.json"))


def shorten(results: Path) -> None:
    first(results).write_bytes(first(results).read_bytes()[:100])


def frozen(content: bytes) -> Callable[[Path], object]:
    return lambda results: (results / "records.parquet").write_bytes(content)


REPORTS = [
    Case("no results", "report nowhere", "no results in nowhere"),
    Case("an empty folder", "report out", "no results in out", {"out": None}),
    Case("a file for results", "report out", "out", {"out": "x"}),
    Case("results without a record", "report out", "out", NONE),
    Case("results of a newer schema", "report out", "upgrade", NEWER),
    Case("a schema that is none", "report out", MARKER, BROKEN),
    Case("one of two folders without results", "report {results} nowhere -o page", "no results in nowhere"),
    Case("a page below a file", "report {results} -o file/page", "file/page", {"file": ""}),
    Case("a file for the page", "report {results} -o file", "file", {"file": ""}),
    Case(
        "a document of broken records",
        "report mine -o page",
        "truncated",
        make=lambda here, sound: copied("results", shorten)(_folder(here / "mine"), sound),
    ),
]
COMPARES = [
    Case("no results to compare", "compare nowhere a b", "no results in nowhere"),
    Case("a row misspelt", "compare {results} a aa", "aa"),
    Case("one row", "compare {results} a", "'a' is no folder: name two rows"),
    Case("rows of another suite", "compare {results} a b -s molecules", "no results for 'a'"),
    Case("a suite misspelt", "compare {results} a b -s vtap", "did you mean vtab?"),
]
EXPORTS = [
    Case("no results to export", "export-results nowhere out --to parquet", "no results in nowhere"),
    Case("no form", "export-results {results} out", "Missing option '--to'"),
    Case("another form", "export-results {results} out --to xlsx", "'xlsx'"),
    Case("a file that is there", "export-results {results} out --to parquet", "out is there already", {"out": "x"}),
    Case("a folder that is there", "export-results {results} out --to hub", "out is there already", {"out": None}),
    Case(
        "an export below a file",
        "export-results {results} file/out --to every-eval-ever",
        "file/out cannot be written",
        {"file": ""},
    ),
    Case(
        "a data set of another form",
        "export-results {results} out --to parquet --dataset a/b",
        "--dataset says where the hub",
    ),
    Case("a data set without an owner", "export-results {results} out --to hub --dataset bench", "must be OWNER/NAME"),
    Case("results without a record", "export-results out page --to parquet", "out", NONE),
    Case("no results to take a model out of", "take-out nowhere gone out", "no results in nowhere"),
    Case("a model of no record", "take-out {results} gone out", "holds no record 'gone'"),
]
AGAIN = [
    Case("nothing to verify", "verify", "say which records: their files"),
    Case("a record that is not there", "verify gone.json", "gone.json: No such file"),
    Case("an id without a folder", "verify 00ff00fe", "'00ff00fe' is no file"),
    Case("an id that there is not", "verify 00ff00fe -o {results}", "holds no record '00ff00fe'"),
    Case("a record that is none", "verify a.json", "a.json", {"a.json": "{}"}),
    Case("a record cut off", "verify a.json", "a.json", {"a.json": '{"schema_version": 4, '}),
    Case("no sample", "verify {results} --sample 0", "--sample"),
    Case("a sample of nothing", "verify out --sample 2", "out", NONE),
    Case("no results to verify", "verify nowhere --sample 2", "nowhere"),
    Case("no results to vouch for", "vouch nowhere", "nowhere"),
    Case("no minutes", "vouch {results} --minutes 0", "--minutes"),
]
FREEZES = [
    Case("no results to freeze", "freeze nowhere", "nowhere is no result folder"),
    Case("results of a newer schema to freeze", "freeze out", "upgrade", NEWER),
    Case("a record cut off to freeze", "freeze results", "truncated", make=copied("results", shorten)),
    Case(
        "frozen records that are none",
        "freeze results",
        "records.parquet is broken",
        make=copied("results", frozen(b"PAR1")),
    ),
    Case(
        "outcomes of no record",
        "freeze results",
        "belongs to no record",
        make=copied(
            "results", lambda results: (results / "examples" / "ff00.json.gz").write_bytes(gzip.compress(b"{}"))
        ),
    ),
]
CASES = [*REPORTS, *COMPARES, *EXPORTS, *AGAIN, *FREEZES]


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_results(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
