"""What the run knows of a worker."""

import math
import os
from multiprocessing import Pipe
from pathlib import Path

from sparsebench.suites.runner.execution.executors.local.workers import Verdict, Worker, record_identity


def test_only_a_worker_that_came_up_and_stays_can_be_given_a_cell() -> None:
    pipe, _ = Pipe()
    worker = Worker(0, pipe, None, math.inf)
    assert not worker.is_idle
    worker.process = 7
    assert worker.is_idle
    worker.leaving = True
    assert not worker.is_idle


def test_a_worker_that_is_being_ended_is_not_late() -> None:
    pipe, _ = Pipe()
    worker = Worker(0, pipe, None, deadline=-math.inf, process=7)
    assert worker.is_late
    worker.verdict = Verdict("timeout")
    assert not worker.is_late and not worker.is_idle


def test_a_record_that_is_written_again_is_another_file(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    assert record_identity(tmp_path, "a") is None
    (records / "a.json").write_text("{}")
    first = record_identity(tmp_path, "a")
    assert first is not None and first == record_identity(tmp_path, "a")
    new = records / "new"
    new.write_text("{}")
    os.utime(new, ns=(0, first[1]))  # in the same moment
    new.replace(records / "a.json")
    assert record_identity(tmp_path, "a") not in (None, first)
