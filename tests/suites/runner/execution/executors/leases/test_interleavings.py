"""The protocol of leases under a random scheduler: before each operation on a file another process may go on.

The processes are threads that run the protocol's own functions; one at a time goes on, for one operation. How often
each is chosen is drawn for each trial over four orders of magnitude, so that some stand still while others come to
their end. Each takes the others for lost, and one acts on what it saw long ago.
"""

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from threading import Lock, Thread, current_thread
from typing import Any

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.executors.leases import lease as lease_module
from sparsebench.suites.runner.execution.executors.leases.lease import (
    Lease,
    LeaseLostError,
    has_ended,
    publish,
    read_lease,
    take,
    take_over,
)
from sparsebench.suites.runner.execution.executors.leases.runs import Run, names_in

ID = "00ff"
TRIALS = 1200
OPERATIONS = ("rename", "mkdir", "rmdir", "unlink", "utime", "open", "scandir", "stat")
Life = Callable[[str, Store], object]


class Schedule:
    """Who goes on: who stops next draws it, so that only a change of process costs a change of thread."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.going: list[Process] = []
        self.over = Lock()
        self.over.acquire()

    def next(self) -> "Process":
        return self.random.choices(self.going, [process.weight for process in self.going])[0]

    def run(self) -> None:
        for process in self.going:
            process.start()
        self.next().may_go.release()
        self.over.acquire()


class Process(Thread):
    """Stops before each operation on a file until it is told to go on."""

    def __init__(self, life: Callable[[], object], schedule: Schedule) -> None:
        super().__init__(daemon=True)
        self.life = life
        self.schedule = schedule
        self.weight = 10 ** schedule.random.uniform(-4, 0)
        self.error: OSError | None = None
        self.may_go = Lock()
        self.may_go.acquire()
        schedule.going.append(self)

    def run(self) -> None:
        self.may_go.acquire()
        try:
            self.life()
        except OSError as error:
            self.error = error
        self.schedule.going.remove(self)
        following = self.schedule.next().may_go if self.schedule.going else self.schedule.over
        following.release()

    def pause(self) -> None:
        following = self.schedule.next()
        if following is not self:
            following.may_go.release()
            self.may_go.acquire()


def before_each(operation: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **keywords: Any) -> Any:
        process = current_thread()
        if isinstance(process, Process):
            process.pause()
        return operation(*arguments, **keywords)

    return call


class Trial:
    """One cell of a run, which process `p` has taken, and others that come."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.run = Run(folder)
        self.run.cells.mkdir(parents=True)
        self.common = self.store("common")
        first = take(self.run, ID, 1, "p", attempt=1)
        assert first is not None
        old = random.choice([None, first])
        lives: list[Life] = [partial(self.publish, first), self.come, partial(self.act, old), self.come]
        schedule = Schedule(random)
        self.processes = [
            Process(partial(life, name, self.store(name, name)), schedule)
            for life, name in zip(lives[: random.choice([3, 4])], "pqrs", strict=False)
        ]
        schedule.run()

    def store(self, name: str, content: str | None = None) -> Store:
        """A store, with one record and its examples where they are given."""
        store = Store(self.run.path / name)
        for file in (store.records / f"{ID}.json", store.examples / f"{ID}.json.gz"):
            file.parent.mkdir(parents=True)
            if content is not None:
                file.write_text(content)
        return store

    def publish(self, lease: Lease, name: str, private: Store) -> None:
        del name
        with contextlib.suppress(LeaseLostError):
            publish(self.run, lease, private, self.common)

    def come(self, name: str, private: Store) -> None:
        """Look, and act on what was seen, until there was a lease or the cell has ended."""
        taken = False
        while not taken and not has_ended(self.run, ID):
            ends = [one.rpartition(".")[2] for one in names_in(self.run.cells)]
            numbers = [int(end) for end in ends if end.isdigit()]
            taken = self.act(read_lease(self.run, ID, max(numbers)) if numbers else None, name, private)

    def act(self, seen: Lease | None, name: str, private: Store) -> bool:
        """Take the cell that nobody seemed to have, or over from a process; whether that succeeded."""
        if seen is None:
            lease = take(self.run, ID, 1, name, attempt=1)
        else:
            lease = take_over(self.run, seen, name, self.common)
        if lease is not None:
            self.publish(lease, name, private)
        return lease is not None

    def faults(self, times: int) -> list[str]:
        """What must not be, given how often a record came into the common store."""
        record = self.common.records / f"{ID}.json"
        examples = self.common.examples / f"{ID}.json.gz"
        found = [f"{process.error!r}" for process in self.processes if process.error is not None]
        if times != 1:
            found.append(f"{times} records came into the store")
        if times and record.read_text() != examples.read_text():
            found.append(f"record of {record.read_text()}, examples of {examples.read_text()}")
        if not has_ended(self.run, ID):
            found.append("the cell has not ended")
        return found


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be had: 400,000 operations on a disk take a minute, and seconds there."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def test_one_record_of_one_execution_in_whatever_order_they_go_on(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Path] = []
    monkeypatch.setattr(lease_module, "sync_folder", sent.append)  # called for each record that came into the store
    for name in OPERATIONS:
        monkeypatch.setattr(os, name, before_each(getattr(os, name)))
    found = Counter[str]()
    for number in range(TRIALS):
        sent.clear()
        trial = Trial(quick_folder / str(number), Random(number))
        found.update(trial.faults(len(sent)))
        shutil.rmtree(trial.run.path)
    assert not found
