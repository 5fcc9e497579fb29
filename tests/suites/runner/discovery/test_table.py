"""Families of tasks as tables: read without importing, each row a task with records of its own."""

import ast
from pathlib import Path

import pytest

from sparsebench.suites.contracts.task import Task
from sparsebench.suites.runner.discovery.closure import Tree
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import Entry, entries, find
from sparsebench.suites.runner.discovery.table import read_table
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity.fingerprint import code_hash
from sparsebench.suites.runner.show.describe import describe

TABLE = '''"""Stripes in several widths"""

from dataclasses import dataclass

COLUMNS = ("name", "width", "caption")
ROWS = (
    ("stripes_thin", 1, "Thin stripes"),
    ("stripes_wide", 9, "Wide stripes"),
)


@dataclass(frozen=True, kw_only=True)
class Stripes:
    name: str
    width: int
    version = "1"
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """A file of tasks in a package that Python finds."""
    (tmp_path / "outside").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "outside" / "stripes.py"


def write(path: Path, text: str = TABLE) -> list[Entry]:
    path.write_text(text)
    return Entry("task", "stripes", "outside.stripes", path, "vtab").rows()


def hashes(entries: list[Entry]) -> list[str]:
    tree = Tree()
    return [code_hash([entry], {}, "cpu", tree) for entry in entries]


def read(text: str) -> list:
    return read_table(ast.parse(text), Path("stripes.py"))


def test_a_row_is_a_task_with_name_caption_and_constants_of_its_own(tmp_path: Path) -> None:
    thin, wide = write(tmp_path / "stripes.py")
    assert (thin.name, thin.caption, thin.constant("width", None)) == ("stripes_thin", "Thin stripes", 1)
    assert (wide.name, wide.caption, wide.constant("width", None)) == ("stripes_wide", "Wide stripes", 9)
    assert thin.constant("version", None) == "1" and thin.constant("height", 3) == 3
    assert thin.row_fields == {"name": "stripes_thin", "width": 1}
    assert len({thin, wide}) == 2


def test_a_file_without_a_table_is_one_task(tmp_path: Path) -> None:
    (entry,) = write(tmp_path / "stripes.py", '"""Stripes"""\n')
    assert (entry.name, entry.row, entry.row_fields) == ("stripes", None, {})


def test_only_tasks_come_in_tables(tmp_path: Path) -> None:
    path = tmp_path / "stripes.py"
    path.write_text(TABLE)
    assert [entry.name for entry in Entry("method", "stripes", "outside.stripes", path).rows()] == ["stripes"]


def test_changing_a_row_changes_the_code_of_that_row_alone(place: Path) -> None:
    thin, wide = hashes(write(place))
    assert thin != wide
    changed = hashes(write(place, TABLE.replace("9", "8")))
    assert changed[0] == thin and changed[1] != wide
    longer = hashes(write(place, TABLE.replace("ROWS = (", 'ROWS = (("stripes_none", 0, "No stripes"),')))
    assert longer[1:] == [thin, wide]


def test_a_caption_is_not_code_but_the_class_is(place: Path) -> None:
    before = hashes(write(place))
    assert hashes(write(place, TABLE.replace("Thin stripes", "Very thin stripes"))) == before
    after = hashes(write(place, TABLE.replace('version = "1"', 'version = "2"')))
    assert not set(after) & set(before)


def test_code_that_reads_the_table_depends_on_every_row(place: Path) -> None:
    reading = TABLE + "\nWIDEST = max(row[1] for row in ROWS)\n"
    thin, _ = hashes(write(place, reading))
    assert hashes(write(place, reading.replace("9", "8")))[0] != thin


def test_a_table_that_other_code_imports_counts_as_a_whole(place: Path) -> None:
    place.with_name("reader.py").write_text("from .stripes import ROWS\n")
    reading = TABLE + "\nfrom . import reader\n"
    thin, _ = hashes(write(place, reading))
    assert hashes(write(place, reading.replace("9", "8")))[0] != thin


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('ROWS = (("a", "A"),)', "there is only ROWS"),
        ('COLUMNS = ("name",)\nROWS = (("a",),)', "COLUMNS has no 'caption'"),
        ('COLUMNS = ("name", "caption")\nROWS = (("a", "A", 1),)', "has 3 values for 2 columns"),
        ('COLUMNS = ("name", "caption")\nROWS = (("a", "A"), ("a", "B"))', "two rows are called 'a'"),
        ('COLUMNS = ("name", "caption")\nROWS = tuple(range(3))', "ROWS must be a literal"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(text)


def test_the_task_of_a_row_has_the_values_of_the_row() -> None:
    found = entries("task", "vtab")
    rows = [entry for entry in found.values() if entry.row is not None]
    assert len(rows) >= 19
    for entry in rows:
        task = load_task(entry)
        assert isinstance(task, Task)
        assert {name: getattr(task, name) for name in entry.row_fields} == entry.row_fields
    assert load_task(rows[0]) == load_task(rows[0]) != load_task(rows[1])


def test_a_row_with_an_unknown_column_is_refused() -> None:
    entry = find("task", "vtab1k_cifar", "vtab")
    assert entry.row is not None
    wrong = Entry(entry.kind, entry.name, entry.module, entry.path, entry.suite, {**entry.row, "classs": 3})
    with pytest.raises(UsageError, match="task 'vtab1k_cifar': unknown key 'classs'"):
        load_task(wrong)


def test_show_names_the_row_and_its_family() -> None:
    text = describe("vtab1k_cifar")
    assert "VTAB-1K: CIFAR-100" in text and "The nineteen tasks of VTAB-1K" in text and "data: vtab-1k" in text
