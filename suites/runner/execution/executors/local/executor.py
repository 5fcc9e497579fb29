"""A pool of worker processes: a cell that crashes or runs out of time ends its worker, not the run.

Each worker has a pipe of its own, so that killing one, at whatever moment, cannot harm the others.
"""

import contextlib
import os
import signal
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic

from sparsebench.reports.store import Store, StoreError

from ....identity.cell import Cell
from ...execute import End, end_of, failure, now
from ..interface import Ended, Event, Executor, ExecutorError, Options, Started
from .worker import work

START_ATTEMPTS = 3
SPAWN = get_context("spawn")


@dataclass(eq=False)
class _Worker:
    """A process, the parent's end of its pipe, and what it is doing."""

    process: SPAWN.Process  # type: ignore[name-defined]
    pipe: Connection
    ready: bool = False
    cell: Cell | None = None
    deadline: float = float("inf")


class LocalExecutor(Executor):
    """Worker processes on this machine; each writes the records of its cells into the result folder itself.

    So a cell that has ended keeps its record, even if the run is killed in the same moment.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder = folder
        self._options = options
        self._waiting: deque[Cell] = deque()
        self._workers: list[_Worker] = []
        self._started: list[Event] = []
        self._failed_starts = 0

    def submit(self, cells: Sequence[Cell]) -> None:
        """As in `Executor`."""
        self._waiting.extend(cells)

    def events(self, seconds: float) -> list[Event]:
        """As in `Executor`."""
        self._hire()
        wait([handle for worker in self._workers for handle in (worker.pipe, worker.process.sentinel)], seconds)
        found = self._started
        self._started = []
        for worker in list(self._workers):
            event = self._news(worker)
            if event is not None:
                found.append(event)
        return found

    def cancel(self, ids: Collection[str]) -> None:
        """As in `Executor`."""
        self._waiting = deque(cell for cell in self._waiting if cell.id not in ids)
        for worker in list(self._workers):
            if worker.cell is not None and worker.cell.id in ids:
                self._workers.remove(worker)
                worker.process.kill()
                worker.process.join()

    def close(self) -> None:
        """As in `Executor`."""
        for worker in self._workers:
            if worker.cell is None:
                with contextlib.suppress(BrokenPipeError):
                    worker.pipe.send(None)
                worker.process.join(timeout=5)
            worker.process.kill()
            worker.process.join()
        self._workers.clear()

    def _hire(self) -> None:
        """As many workers as there is work for, and a cell for each that is ready and idle."""
        busy = sum(worker.cell is not None for worker in self._workers)
        wanted = min(self._options.workers, len(self._waiting) + busy)
        while len(self._workers) < wanted:
            self._workers.append(_start(self._folder, self._options))
        for worker in self._workers:
            if worker.ready and worker.cell is None and self._waiting:
                worker.cell = self._waiting.popleft()
                worker.deadline = monotonic() + worker.cell.timeout
                self._started.append(Started(worker.cell, f"worker {worker.process.pid}"))
                with contextlib.suppress(BrokenPipeError):  # it just died: `_news` sees that next
                    worker.pipe.send(worker.cell)

    def _news(self, worker: _Worker) -> Event | None:
        cell = worker.cell
        with contextlib.suppress(EOFError, ConnectionResetError):  # closed pipe: the process is gone, see below
            if worker.pipe.poll():
                message = worker.pipe.recv()
                worker.ready, worker.cell, worker.deadline = True, None, float("inf")
                if isinstance(message, StoreError):
                    raise message
                self._failed_starts = 0
                return Ended(cell, message) if cell is not None else None
        if not worker.process.is_alive():
            return self._bury(worker, "failed", _how_it_died(worker.process.exitcode))
        if monotonic() > worker.deadline and cell is not None:
            worker.process.kill()
            worker.process.join()
            return self._bury(worker, "timeout", f"ran longer than {cell.timeout:g} s")
        return None

    def _bury(self, worker: _Worker, status: str, reason: str) -> Event | None:
        self._workers.remove(worker)
        if worker.cell is None:
            self._failed_starts += not worker.ready
            if self._failed_starts >= START_ATTEMPTS:
                raise ExecutorError(f"{START_ATTEMPTS} workers in a row died while starting: {reason}")
            return None
        return Ended(worker.cell, _record_end(worker.cell, self._folder, status, reason))


def _start(folder: Path, options: Options) -> _Worker:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=work, args=(theirs, folder, os.getpid(), options), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _how_it_died(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (the system kills with SIGKILL when memory runs out)" if name == "SIGKILL" else ""
        return f"worker process killed by {name}{hint}"
    return f"worker process ended with exit code {exitcode}"


def _record_end(cell: Cell, folder: Path, status: str, reason: str) -> End:
    """A record for a cell whose worker is gone, unless the worker had already written it."""
    store = Store(folder)
    with contextlib.suppress(KeyError):
        record = store.read(cell.id)
        if record.status == "ok":
            return end_of(record)
    seconds = cell.timeout if status == "timeout" else 0.0
    return end_of(store.write(failure(cell, status, reason, started=now(), seconds=seconds), None))
