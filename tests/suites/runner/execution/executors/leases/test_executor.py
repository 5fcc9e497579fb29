"""What a process does with leases: its workers are puppets here, but for the last test, where all is real."""

import dataclasses
import os
import signal
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store, StoreError
from sparsebench.suites.runner.errors import ExecutorError
from sparsebench.suites.runner.execution.execute import end_of, failure, now
from sparsebench.suites.runner.execution.executors.interface import Ended, Event, Options, Retried, Started
from sparsebench.suites.runner.execution.executors.leases import executor as module
from sparsebench.suites.runner.execution.executors.leases.executor import LeaseExecutor
from sparsebench.suites.runner.execution.executors.leases.membership import Membership
from sparsebench.suites.runner.identity.cell import Cell

from ....cells import INFO, cell

PLAN = {"name": "toy", "reuse": "exact", "count": 3, "cells": "1234", "lines": ["python==3.11"]}


class Puppets:
    """In the place of the local executor: it does what the test says."""

    def __init__(self, folder: Path, options: Options) -> None:
        self.store = Store(folder)
        self.running: dict[str, Cell] = {}
        self.news: list[Event] = []
        self.closed = 0
        self.error: Exception | None = None

    def submit(self, cells: Sequence[Cell]) -> None:
        self.running |= {cell.id: cell for cell in cells}
        self.news += [Started(cell, "worker 1") for cell in cells]

    def events(self, seconds: float) -> list[Event]:
        if self.error is not None:
            raise self.error
        found, self.news = self.news, []
        return found

    def cancel(self, ids: Collection[str]) -> None:
        for id_ in ids:
            del self.running[id_]

    def close(self) -> None:
        self.closed += 1

    def end(self, cell: Cell, reason: str) -> None:
        """A worker comes to the end of a cell."""
        record = self.store.write(failure(self.running.pop(cell.id), "failed", reason, started=now()))
        self.news.append(Ended(cell, end_of(record)))


class Process:
    """A process of a run."""

    def __init__(self, folder: Path, cells: Sequence[Cell], workers: int = 1) -> None:
        self.membership = Membership(folder, PLAN, lease=30)
        self.membership.join()
        self.executor = LeaseExecutor(folder, Options(workers=workers), self.membership)
        self.executor.submit(cells)

    @property
    def workers(self) -> Puppets:
        return self.executor._local  # type: ignore[return-value]

    @property
    def running(self) -> list[str]:
        return list(self.workers.running)

    def events(self) -> list[Event]:
        """Up to and with the next look."""
        found = self.executor.events(0.0)
        self.executor._next_look = 0.0
        return [*found, *self.executor.events(0.0), *self.executor.events(0.0)]

    def ended(self) -> list[tuple[str, str | None, bool]]:
        found = [event for event in self.events() if isinstance(event, Ended)]
        return [(event.cell.id, event.end.reason, event.elsewhere) for event in found]

    def stand_still(self, seconds: float = 31.0) -> None:
        """Its last beat was so long ago, and it goes on as if nothing had been."""
        beat = self.membership.private / "beat"
        old = beat.stat().st_mtime - seconds
        assert self.membership._beat is not None
        self.membership._beat.stop()
        os.utime(beat, (old, old))

    def leave(self) -> None:
        self.executor.close()
        self.membership.leave()


def lost_process(folder: Path, cells: Sequence[Cell]) -> tuple[Process, Process]:
    """One that began the first cell and stood still; and another without workers, so that the run goes on."""
    lost = Process(folder, cells)
    lost.events()
    assert lost.running == [cells[0].id]
    other = Process(folder, cells, workers=0)
    lost.stand_still()
    return lost, other


@pytest.fixture
def cells() -> list[Cell]:
    infos = [dataclasses.replace(INFO, seed=seed) for seed in range(3)]
    return [cell(info=info, key=f"k{info.seed}", planned_seeds=3) for info in infos]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "LocalExecutor", Puppets)
    return Store(tmp_path).create().folder


def test_a_cell_is_taken_only_when_a_worker_is_free(folder: Path, cells: list[Cell]) -> None:
    first = Process(folder, cells)
    second = Process(folder, cells)
    first.events()
    second.events()
    assert first.running == [cells[0].id]
    assert second.running == [cells[1].id]
    first.workers.end(cells[0], "done here")
    assert first.ended() == [(cells[0].id, "done here", False)]
    assert second.ended() == [(cells[0].id, "done here", True)]
    first.events()
    assert first.running == [cells[2].id]
    for process in (first, second):
        process.leave()
        assert process.executor._open


def test_cells_of_others_are_shown_as_running(folder: Path, cells: list[Cell]) -> None:
    first = Process(folder, cells[:1])
    watcher = Process(folder, cells[:1], workers=0)
    first.events()
    (started,) = watcher.events()
    assert isinstance(started, Started)
    assert f"process {os.getpid()}" in started.place
    assert watcher.events() == []


def test_a_lost_process_costs_one_attempt_and_publishes_nothing(folder: Path, cells: list[Cell]) -> None:
    lost, _ = lost_process(folder, cells[:1])
    other = Process(folder, cells[:1])
    again = [event for event in [*other.events(), *other.events()] if isinstance(event, Retried)]
    assert [event.cell for event in again] == cells[:1]
    assert other.running == [cells[0].id]
    lost.workers.end(cells[0], "too late")
    assert lost.ended() == []
    assert Store(folder).ids() == []
    other.workers.end(cells[0], "in time")
    assert other.ended() == [(cells[0].id, "in time", False)]
    assert Store(folder).read(cells[0].id).reason == "in time"


def test_lost_twice_is_a_record(folder: Path, cells: list[Cell]) -> None:
    for _ in range(2):
        _, last = lost_process(folder, cells[:1])
    third = Process(folder, cells[:1])
    assert third.ended() == [(cells[0].id, Store(folder).read(cells[0].id).reason, False)]
    assert "begun 2 times" in (Store(folder).read(cells[0].id).reason or "")
    assert last.ended()[0][2]


def test_a_lost_worker_counts_like_a_lost_process(folder: Path, cells: list[Cell]) -> None:
    process = Process(folder, cells[:1])
    process.events()
    process.workers.news.append(Retried(cells[0], "killed"))
    assert [type(event) for event in process.events()] == [Retried]
    Process(folder, cells[:1], workers=0)  # so that the run goes on
    process.stand_still()
    other = Process(folder, cells[:1])
    ((_, reason, _),) = other.ended()
    assert "begun 2 times" in (reason or "")


def test_a_worker_lost_in_the_second_attempt_is_a_record(folder: Path, cells: list[Cell]) -> None:
    lost_process(folder, cells[:1])
    other = Process(folder, cells[:1])
    other.events()
    other.workers.news.append(Retried(cells[0], "killed"))
    ((_, reason, _),) = other.ended()
    assert reason == "begun 2 times, and lost each time, at last: killed"
    assert other.running == []


def test_given_back_is_no_attempt(folder: Path, cells: list[Cell]) -> None:
    for _ in range(3):
        process = Process(folder, cells[:1])
        stays = Process(folder, cells[:1], workers=0)
        process.events()
        assert process.running == [cells[0].id]
        process.leave()
    assert stays.ended() == []


def test_a_run_that_others_ended_is_joined_again(folder: Path, cells: list[Cell]) -> None:
    """All thought it lost, did its work and left; it wakes up, and sees what has ended meanwhile."""
    lost = Process(folder, cells)
    lost.events()
    lost.stand_still()
    other = Process(folder, cells[:2], workers=2)
    other.events()
    for taken in cells[:2]:
        other.workers.end(taken, "by the other")
    assert len(other.ended()) == 2
    other.leave()
    old = lost.workers
    assert lost.ended() == [(taken.id, "by the other", True) for taken in cells[:2]]
    assert old.closed == 1
    lost.events()
    assert lost.running == [cells[2].id]


@pytest.mark.parametrize("error", [StoreError("the folder is gone"), ExecutorError("no worker comes up")])
def test_workers_whose_folder_went_with_the_run_are_no_error(folder: Path, cells: list[Cell], error: Exception) -> None:
    process = Process(folder, cells[:1])
    process.events()
    process.workers.error = error
    with pytest.raises(type(error)):
        process.executor.events(0.0)
    process.membership.run.end()
    process.executor.events(0.0)
    process.events()
    assert process.running == [cells[0].id]


def test_a_process_that_is_terminated_gives_its_cell_back(bench) -> None:
    bench.write_toys({"name": "toy_fine", "config": {"nap": 1.5}}, seeds=5)
    command = [*bench.run_arguments(workers=1), "--executor", "leases"]
    first = bench.start(*command)
    second = bench.start(*command)
    deadline = time.monotonic() + 120
    while not list((bench.out / "records").glob("[!.]*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 130, said
    rest, _ = second.communicate(timeout=120)
    assert second.returncode == 0, rest
    assert "5 ok" in rest
    assert [path.name for path in (bench.out / "leases").iterdir()] == ["over-000001"]
    assert "5 cells, 0 to run" in bench.call(*command).stdout
