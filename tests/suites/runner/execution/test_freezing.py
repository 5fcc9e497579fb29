"""`freeze` of folders, and that every command says the same of a frozen folder."""

from pathlib import Path
from typing import Any

import pytest

from sparsebench.reports.records.frozen import RECORDS_FILE
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.store import Store, StoreError
from sparsebench.reports.records.sums import compare
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.execute import failure
from sparsebench.suites.runner.execution.freezing import freeze_folders
from sparsebench.suites.runner.execution.locks import sole_run
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.results.summary import compare_document, write_report


def make_folder(folder: Path, cells: list[Cell]) -> Store:
    store = Store(folder).create()
    for cell in cells:
        store.write(failure(cell, "failed", "not run", started="2026-11-25T00:00:00+00:00"), None)
    return store


def test_every_reader_says_the_same_of_a_frozen_folder(bench) -> None:
    """And a run goes on in it, whose records freeze takes in."""
    bench.write_toys("toy_fine", seeds=2)
    assert bench.call(*bench.run_arguments()).returncode == 0
    ids = Store(bench.out).ids()
    before = everything(bench.out)
    frozen = bench.call("freeze", str(bench.folder))
    assert f"{bench.out}: froze 2 records; 2 records in 0.0" in frozen.stdout, frozen.stderr
    assert not list(bench.out.glob("*/*.json")) and (bench.out / RECORDS_FILE).exists()
    assert everything(bench.out) == before
    again = bench.call(*bench.run_arguments(), "--reuse", "never")
    assert "2 cells, 2 to run" in again.stdout, again.stderr
    assert sorted(path.stem for path in bench.out.glob("records/*.json")) == ids == Store(bench.out).ids()
    assert compare(Store(bench.out)).fits
    freeze_folders([bench.out], print)
    assert not (bench.out / "records").exists() and compare(Store(bench.out)).listed == 2


def everything(folder: Path) -> dict[str, Any]:
    """What a report writes, two rows compared say, and a plan knows of the records."""
    write_report([folder], folder / "report")
    said: dict[str, Any] = {"compare": compare_document(folder, "toy_fine", "toy_fine", ["molecules"])}
    with Index(Store(folder)) as index:
        said["entries"] = index.entries
    for path in sorted((folder / "report").rglob("*")):
        if path.is_file():
            said[path.name] = path.read_bytes()
    return said


def test_folders_are_frozen_one_by_one(tmp_path: Path, planned: list[Cell]) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        make_folder(folder, planned)
    said: list[str] = []
    freeze_folders(folders, said.append)
    assert [line.partition(":")[0] for line in said] == [str(folder) for folder in folders]
    assert len(list(tmp_path.glob(f"*/{RECORDS_FILE}"))) == 2
    with pytest.raises(StoreError, match="no results in"):
        freeze_folders([tmp_path], said.append)


def test_a_folder_that_a_run_writes_to_is_left_alone(tmp_path: Path, planned: list[Cell]) -> None:
    make_folder(tmp_path / "one", planned)
    with sole_run(tmp_path / "one", print), pytest.raises(UsageError, match="another run is writing to"):
        freeze_folders([tmp_path / "one"], print)
    assert not (tmp_path / "one" / RECORDS_FILE).exists()
