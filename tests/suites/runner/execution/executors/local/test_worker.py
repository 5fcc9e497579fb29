"""What a worker says, and to whom it speaks."""

import multiprocessing
import os
from pathlib import Path

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.executors.local.worker import Message, Settings, Work, work
from tests.suites.runner.execution.test_execute import cell_of

PATIENCE = 300


def test_a_worker_speaks_for_its_attempts_and_leaves_when_it_has_run_one_alone(tmp_path: Path) -> None:
    Store(tmp_path).create()
    cell = cell_of("linear_probe")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    settings = Settings(folder=tmp_path, threads=1, memory=None, device=None)
    process = context.Process(target=work, args=(theirs, settings))
    process.start()
    theirs.close()

    def heard() -> Message:
        assert ours.poll(PATIENCE)
        return ours.recv()

    assert heard() == Message("ready", process.pid)  # type: ignore[arg-type]
    for attempt, shared in ((5, True), (6, False)):
        ours.send(Work(cell, attempt, shared=shared))
        assert heard() == Message("begun", process.pid, attempt)  # type: ignore[arg-type]
        done = heard()
        assert (done.kind, done.process, done.attempt, done.leaving) == ("done", process.pid, attempt, not shared)
        assert done.content.status == "ok"
    assert Store(tmp_path).read(cell.id).environment["threads"] == 1
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert process.pid != os.getpid()
