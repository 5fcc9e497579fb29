"""What a worker says, and to whom it speaks."""

import multiprocessing
import os
from pathlib import Path

import pytest

from sparsebench.reports.store import Store
from sparsebench.suites.runner.execution.executors.local.worker import Message, Settings, Work, work
from tests.suites.runner.execution.test_execute import cell_of

PATIENCE = 300


@pytest.mark.parametrize("isolate", [False, True])
def test_a_worker_speaks_for_its_attempts_and_leaves_when_it_is_to_run_one(tmp_path: Path, isolate: bool) -> None:
    Store(tmp_path).create()
    cell = cell_of("linear_probe")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    settings = Settings(folder=tmp_path, threads=1, memory=None, device=None, isolate=isolate)
    process = context.Process(target=work, args=(theirs, settings))
    process.start()
    theirs.close()

    def heard() -> Message:
        assert ours.poll(PATIENCE)
        return ours.recv()

    assert heard() == Message("ready", process.pid)  # type: ignore[arg-type]
    ours.send(Work(cell, 5))
    assert heard() == Message("begun", process.pid, 5)  # type: ignore[arg-type]
    done = heard()
    assert (done.kind, done.process, done.attempt, done.leaving) == ("done", process.pid, 5, isolate)
    assert done.content.status == "ok"
    assert Store(tmp_path).read(cell.id).environment["threads"] == 1
    ours.close()  # the run is gone: so is the worker
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert process.pid != os.getpid()
