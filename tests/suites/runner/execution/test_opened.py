"""A file that nothing names ends the cell that opens it; one that is named is in the cell's identity."""

import contextlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparsebench.data import fetching
from sparsebench.data.sources import source
from sparsebench.reports.records.record import Record
from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.execution import assembly, execute, opened, readable
from sparsebench.suites.runner.identity.cell import Cell, cell_key

from ..cells import INFO


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the user's, outside of the temporary folder."""
    for folder in ("tmp", "data"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    always = readable._always.__wrapped__()
    monkeypatch.setattr(readable, "_always", lambda: always)
    file = tmp_path / "data" / "mine.csv"
    file.write_text("1,2")
    return file


def cell(*names: str) -> Cell:
    key = cell_key(INFO, parts_of(INFO), names)
    return Cell(info=INFO, key=key, code="code", device="cpu", timeout=1.0, sources=names)


def run(one: Cell, monkeypatch: pytest.MonkeyPatch, body: Callable[[], Any], checkpoints: Path | None = None) -> Record:
    """The record of a cell whose score does `body`, and fails then."""

    def score(*arguments, **options):
        body()
        raise ValueError("no score")

    monkeypatch.setattr(assembly, "score", score)
    return execute.run_cell(one, checkpoints).record


def swallowed(path: Path) -> None:
    with contextlib.suppress(Exception):
        path.read_text()


WAYS: dict[str, Callable[[Path], Any]] = {
    "text": lambda path: path.read_text(),
    "handle of bytes": lambda path: os.open(os.fsencode(path), os.O_RDONLY),
    "roundabout": lambda path: (path.parent / ".." / "tmp" / ".." / "data" / path.name).read_text(),
    "update": lambda path: path.open("r+"),
    "handle": lambda path: os.open(path, os.O_RDONLY),
    "database": lambda path: sqlite3.connect(path),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_nothing_names_is_refused(mine: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    record = run(cell(), monkeypatch, lambda: WAYS[way](mine))
    assert record.status == "failed"
    assert f'UnnamedFileError: write `sources = ("file:{mine}",)` in synthetic.py: ' in str(record.reason)


def test_it_is_refused_where_the_error_is_caught(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "score", lambda *a, **k: swallowed(mine))
    assert "UnnamedFileError" in str(execute.run_cell(cell(), None).record.reason)


def test_what_is_named_may_be_read_but_hidden_files(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = mine.with_name(".mine.csv")
    hidden.write_text("3")
    for name in (f"file:{mine}", f"file:{mine.parent}"):
        record = run(cell(name), monkeypatch, mine.read_text)
        assert str(record.reason).startswith("ValueError: no score (test_opened.py:") and record.data[0].source == name
    assert "UnnamedFileError" in str(run(cell(f"file:{mine.parent}"), monkeypatch, hidden.read_text).reason)
    other = run(cell(f"file:{hidden}"), monkeypatch, mine.read_text)
    assert f'("file:{mine}",)' in str(other.reason)


def test_a_file_that_changes_between_plan_and_end(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = cell(f"file:{mine}")
    monkeypatch.setattr(assembly, "score", lambda *a, **k: mine.write_text("3,4"))
    for _ in range(2):  # the first time it changes while the cell runs
        reason = str(execute.run_cell(planned, None).record.reason)
        assert reason.startswith(f"ChecksumError: file:{mine}: another content since the run was planned")


def test_what_every_cell_may_do(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write anywhere, read what it wrote to the temporary folder or its checkpoints, look for what is not there."""
    checkpoints = mine.parent / "checkpoints"
    own = Path(opened.__file__).parents[3]

    def body() -> None:
        mine.with_name("new").write_text("x")
        checkpoints.mkdir()
        for file in (checkpoints / "state", Path(tempfile.gettempdir()) / "x"):
            file.write_text("x")
            file.read_text()
        swallowed(mine.with_name("absent"))
        Path(json.__file__).read_text()
        Path("/proc/self/status").read_text()
        (own / "data" / "manifest" / "digits.toml").read_text()
        with open(0, closefd=False):
            pass

    assert "ValueError: no score" in str(run(cell(), monkeypatch, body, checkpoints).reason)
    assert "UnnamedFileError" in str(run(cell(), monkeypatch, mine.with_name("new").read_text).reason)


def test_settings_and_archives_are_read_while_a_source_is_fetched(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's `pyproject.toml` may hold uv's settings, and a folder of archives may lie anywhere."""
    entry = source("shakespeare")
    monkeypatch.setattr(fetching, "_from_index", lambda source, into: mine.read_text())

    def body() -> None:
        fetching.fetch(entry, mine.parent)

    assert "ValueError: no score" in str(run(cell(), monkeypatch, body).reason)
    assert "UnnamedFileError" in str(run(cell(), monkeypatch, mine.read_text).reason)


TASK = '''"""The mean of my numbers."""

from pathlib import Path

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.metrics import Scores
from toybench.toy_sum import ToySum


class Mine(ToySum):
    """Reads a file of its owner's."""

    sources = {sources}

    def evaluate(self, subject, context):
        values = [float(text) for text in Path("{file}").read_text().split(",")]
        value = sum(values) / len(values)
        return Scores("mean", {{"mean": Metric(value=value, higher_is_better=True, unit="")}}, {{}})
'''


def write_plugin(folder: Path, mine: Path) -> None:
    package = folder / "mytasks"
    metadata = folder / "mytasks-1.dist-info"
    for new in (package, metadata):
        new.mkdir()
    (package / "__init__.py").write_text("")
    for name, sources in (("named", (f"file:{mine}",)), ("unnamed", ())):
        (package / f"{name}.py").write_text(TASK.format(sources=sources, file=mine))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mytasks\nVersion: 1\n")
    points = ("named", "unnamed")
    lines = [f"molecules.mine_{name} = mytasks.{name}" for name in points]
    (metadata / "entry_points.txt").write_text("\n".join(["[sparsebench.tasks]", *lines]))


def test_a_task_of_a_plugin_over_a_file_of_its_own(bench: Any, mine: Path) -> None:
    """The score follows the file where the task names it; where it does not, there is no score."""
    write_plugin(bench.folder, mine)
    bench.environment["PYTHONPATH"] = os.pathsep.join([bench.environment["PYTHONPATH"], str(bench.folder)])
    bench.environment["TMPDIR"] = tempfile.gettempdir()
    tasks = ["mine_named", "mine_unnamed"]
    rows = {"backbones": ["toy_line"], "methods": ["toy_fine"], "tasks": tasks, "seeds": 1}
    bench.write_profile({"molecules": rows})
    first = bench.call(*bench.run_arguments())
    assert first.returncode == 1, first.stdout + first.stderr
    assert f'write `sources = ("file:{mine}",)` in unnamed.py' in first.stdout
    assert "1 failed, 1 ok" in first.stdout, first.stdout
    mine.write_text("3,4,5")
    second = bench.call(*bench.run_arguments())
    assert "mean 4" in second.stdout, second.stdout
