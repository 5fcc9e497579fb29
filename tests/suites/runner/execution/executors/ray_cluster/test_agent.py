"""What runs on a node: kinds of cells are checked there, and results are handed over. No Ray here."""

import dataclasses
import os
import tempfile
from pathlib import Path

import pytest

from sparsebench.data.errors import DownloadError
from sparsebench.reports.records.record import from_json, to_json
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.execute import Result, failure, now
from sparsebench.suites.runner.execution.executors.interface import Options
from sparsebench.suites.runner.execution.executors.ray_cluster import agent
from sparsebench.suites.runner.execution.executors.ray_cluster.agent import Agent, check
from sparsebench.suites.runner.execution.executors.ray_cluster.messages import (
    Agrees,
    Broken,
    Differs,
    Expect,
    Kind,
    Lacks,
    News,
    Start,
)
from sparsebench.suites.runner.execution.executors.ray_cluster.scratch import PREFIX
from sparsebench.suites.runner.identity.agreement import identity_lines, lines_digest
from sparsebench.suites.runner.identity.cell import Cell


@pytest.fixture(scope="module")
def cell(planned: list[Cell]) -> Cell:
    return planned[0]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def kind_of(cell: Cell) -> Kind:
    return Kind(lines_digest(identity_lines(cell)), cell)


def test_a_kind_that_is_the_same_here(cell: Cell) -> None:
    assert check(kind_of(cell)) == Agrees(kind_of(cell).digest)


def test_a_kind_that_differs_comes_back_with_what_is_here(cell: Cell) -> None:
    assert check(Kind("another", cell)) == Differs("another", identity_lines(cell))


def test_a_method_that_is_not_installed(cell: Cell) -> None:
    foreign = dataclasses.replace(cell, info=dataclasses.replace(cell.info, method="of_another_machine"))
    found = check(Kind("foreign", foreign))
    assert isinstance(found, Differs)
    assert "of_another_machine" in found.missing


def test_data_that_cannot_be_had(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(name: str) -> None:
        raise DownloadError(f"{name}: no network")

    monkeypatch.setattr(agent, "ensure", ensure)
    needy = dataclasses.replace(cell, sources=("moses",))
    assert check(Kind("needy", needy)) == Lacks("needy", "moses: no network")


def test_steps_tell_what_was_checked(cell: Cell) -> None:
    one = Agent(Options(workers=1))
    found: list[News] = one.step([Expect(kind_of(cell))], 30.0)
    assert found == [Agrees(kind_of(cell).digest)]
    assert one.step([], 0.0) == []


def test_a_disk_that_is_full_is_said_and_leaves_nothing(
    cell: Cell, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    (news,) = Agent(Options(workers=1)).step([Start(0, cell)], 0.0)
    assert isinstance(news, Broken)
    assert "No space left" in news.reason
    assert [path.name for path in scratch.rglob("*")] == [f"{PREFIX}{os.geteuid()}"]


def test_a_folder_of_another_user_takes_the_node_out_in_one_line(cell: Cell, scratch: Path) -> None:
    (scratch / f"{PREFIX}{os.geteuid()}").symlink_to(scratch / "nowhere")
    (news,) = Agent(Options(workers=1)).step([Start(0, cell)], 0.0)
    assert isinstance(news, Broken)
    assert "is no folder: remove it, or set TMPDIR" in news.reason


def test_results_leave_the_folder_when_they_are_taken(cell: Cell) -> None:
    folder = agent._Results()
    record = failure(cell, "failed", "as it may end", started=now())
    Store(folder.folder).write(record, {"error": [0.1]})
    assert folder.take(cell.id) == Result(from_json(to_json(record)), {"error": [0.1]})
    assert Store(folder.folder).ids() == []
    folder.remove()
    assert not folder.folder.exists()
