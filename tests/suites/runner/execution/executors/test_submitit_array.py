"""Jobs that serve a run, in this process (submitit's debug cluster), with workers that end each cell at once."""

import dataclasses
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.errors import ExecutorError
from sparsebench.suites.runner.execution.executors import submitit_array
from sparsebench.suites.runner.execution.executors.interface import Ended, Event, Notice, Options
from sparsebench.suites.runner.execution.executors.leases import executor, service
from sparsebench.suites.runner.execution.executors.leases.membership import joined
from sparsebench.suites.runner.execution.executors.submitit_array import SubmititExecutor
from sparsebench.suites.runner.identity.cell import Cell

from ...cells import INFO
from .at_once import AtOnce

PLAN = {"name": "toy", "reuse": "exact", "count": 3, "cells": "1234", "lines": ["python==3.11"]}
# submitit's debug jobs leave their log files open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
pytest.importorskip("submitit", reason="submitit is not installed: pip install 'sparsebench[submitit]'")


@pytest.fixture
def cells() -> list[Cell]:
    infos = [dataclasses.replace(INFO, seed=seed) for seed in range(3)]
    return [Cell(info=info, key=f"k{info.seed}", code="c", device="cpu", timeout=9, sources=()) for info in infos]


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SubmititExecutor]:
    monkeypatch.setattr(executor, "LocalExecutor", AtOnce)
    for module in (service, submitit_array):
        monkeypatch.setattr(module, "plan_lines", lambda cells: PLAN["lines"])
    Store(tmp_path).create()
    options = Options(workers=2, executor="submitit", slurm="cluster=debug,array=2")
    with joined(tmp_path, PLAN, 30) as membership, SubmititExecutor(tmp_path, options, membership) as found:
        yield found
        found._jobs.clear()
    gc.collect()


def listen(jobs: SubmititExecutor, times: int = 4) -> list[Event]:
    found: list[Event] = []
    for _ in range(times):
        jobs._watch._next_look = 0.0
        found += jobs.events(0.0)
    return found


def test_jobs_end_the_cells_and_the_watcher_sees_it(jobs: SubmititExecutor, cells: list[Cell], tmp_path: Path) -> None:
    jobs.submit(cells[:2])
    jobs.submit(cells[2:])
    ended = [event for event in listen(jobs) if isinstance(event, Ended)]
    assert sorted(event.cell.id for event in ended) == sorted(cell.id for cell in cells)
    assert all(event.elsewhere for event in ended)
    assert Store(tmp_path).ids() == sorted(cell.id for cell in cells)


def test_a_machine_with_other_code_is_named_and_when_no_job_is_left_the_run_ends(
    jobs: SubmititExecutor, cells: list[Cell], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "plan_lines", lambda cells: ["python==3.12"])
    jobs.submit(cells)
    notices = jobs.events(0.0)
    assert len(notices) == 2
    for notice in notices:
        assert isinstance(notice, Notice)
        assert "is not used, since it has other code" in notice.text
        assert "python" in notice.text
    with pytest.raises(ExecutorError, match="all 2 jobs have ended and cells are left"):
        jobs.events(0.0)
    assert Store(tmp_path).ids() == []


def test_a_cell_that_is_cancelled_is_not_run_and_may_be_submitted_again(
    jobs: SubmititExecutor, cells: list[Cell], tmp_path: Path
) -> None:
    jobs.submit(cells)
    jobs.cancel([cells[0].id])
    assert len([event for event in listen(jobs) if isinstance(event, Ended)]) == 2
    jobs.submit(cells[:1])
    assert [event.cell for event in listen(jobs) if isinstance(event, Ended)] == cells[:1]
