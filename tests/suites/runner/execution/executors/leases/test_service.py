"""What a job does from its start to its end, with workers that end each cell at once."""

import dataclasses
import logging
import pickle
from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store, StoreError
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.executors.interface import Options
from sparsebench.suites.runner.execution.executors.leases import executor, service
from sparsebench.suites.runner.execution.executors.leases.membership import joined
from sparsebench.suites.runner.execution.executors.leases.service import Service
from sparsebench.suites.runner.execution.locks import sole_run
from sparsebench.suites.runner.identity.cell import Cell

from ....cells import INFO
from ..at_once import AtOnce

PLAN = {"name": "toy", "reuse": "exact", "count": 3, "cells": "1234", "lines": ["python==3.11"]}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A job on a machine that has what the plan asks for."""
    monkeypatch.setattr(executor, "LocalExecutor", AtOnce)
    monkeypatch.setattr(service, "plan_lines", lambda cells: PLAN["lines"])
    infos = [dataclasses.replace(INFO, seed=seed) for seed in range(3)]
    cells = [Cell(info=info, key=f"k{info.seed}", code="c", device="cpu", timeout=9, sources=()) for info in infos]
    folder = Store(tmp_path).create().folder
    return Service(folder, Options(workers=2), cells, PLAN, PLAN["lines"])


def leases(job: Service) -> list[str]:
    folder = job.folder / "leases"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_it_ends_when_all_cells_have_ended_and_leaves_the_run(job: Service) -> None:
    assert job() is None
    assert Store(job.folder).ids() == sorted(cell.id for cell in job.cells)
    assert leases(job) == ["over-000001"]


def test_a_machine_with_other_code_takes_no_cell_and_says_what_differs(job: Service) -> None:
    error = dataclasses.replace(job, lines=["python==3.12"])()
    assert isinstance(error, UsageError)
    assert "other code, data or libraries" in str(error) and "python" in str(error)
    assert Store(job.folder).ids() == [] and leases(job) == []


def test_a_run_with_another_plan_is_given_as_the_reason(job: Service) -> None:
    with joined(job.folder, {**PLAN, "cells": "5678"}, 30):
        error = job()
    assert isinstance(error, UsageError) and "has another plan" in str(error)
    assert Store(job.folder).ids() == []


def test_a_folder_that_one_run_has_for_itself_is_given_as_the_reason(job: Service) -> None:
    with sole_run(job.folder, logging.warning):
        error = job()
    assert isinstance(error, UsageError) and "another run is writing" in str(error)


def test_a_store_that_cannot_be_written_is_given_as_the_reason(job: Service) -> None:
    records = Store(job.folder).records
    records.rmdir()
    records.touch()
    error = job()
    assert isinstance(error, StoreError) and "cannot be written" in str(error)
    assert leases(job) == ["over-000001"]


def test_a_mistake_of_the_program_is_raised(job: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cells: list[Cell]) -> list[str]:
        raise KeyError("broken")

    monkeypatch.setattr(service, "plan_lines", broken)
    with pytest.raises(KeyError, match="broken"):
        job()


def test_a_job_whose_time_is_up_is_submitted_again_as_it_is(job: Service) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'sparsebench[submitit]'")
    again = job.checkpoint()
    assert again.function is job and not again.args and not again.kwargs
    assert pickle.loads(pickle.dumps(job)) == job
