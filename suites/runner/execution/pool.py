"""One pool of worker processes: a cell that crashes or runs out of time ends its worker, not the run.

Each worker has a pipe of its own, so that killing one, at whatever moment, cannot harm the others.
"""

import contextlib
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic

from sparsebench.reports.store import Store, StoreError

from ..identity.cell import Cell
from .execute import Ended, ended, execute, failure, now
from .locks import enter_worker

TICK_SECONDS = 0.5
START_ATTEMPTS = 3
SPAWN = get_context("spawn")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Worker processes, threads in each, and the bytes that each may allocate (None: no bound)."""

    workers: int
    threads: int = 1
    memory: int | None = None


@dataclass(frozen=True)
class Tick:
    """What the pool did since the last tick: cells that ended, and cells that run now."""

    ended: Sequence[tuple[Cell, Ended]]
    running: Sequence[Cell]


class WorkersCannotStartError(RuntimeError):
    """Worker processes die before they can take a cell."""


def run_cells(cells: Sequence[Cell], folder: Path, options: Options) -> Iterator[Tick]:
    """Run the cells in worker processes, in order. Every cell has its record when it is reported as ended.

    Raises `StoreError` when records cannot be written, `WorkersCannotStartError` when no worker comes up.
    """
    pool = _Pool(deque(cells), folder, options)
    try:
        while pool.waiting or pool.running():
            pool.hire()
            yield Tick(pool.collect(), pool.running())
        pool.dismiss()
    finally:
        pool.kill()


@dataclass(eq=False)
class _Worker:
    """A process, the parent's end of its pipe, and what it is doing."""

    process: SPAWN.Process  # type: ignore[name-defined]
    pipe: Connection
    ready: bool = False
    cell: Cell | None = None
    deadline: float = float("inf")


@dataclass
class _Pool:
    waiting: deque[Cell]
    folder: Path
    options: Options
    workers: list[_Worker] = field(default_factory=list)
    failed_starts: int = 0

    def running(self) -> list[Cell]:
        return [worker.cell for worker in self.workers if worker.cell is not None]

    def hire(self) -> None:
        """As many workers as there is work for, and a cell for each that is ready and idle."""
        wanted = min(self.options.workers, len(self.waiting) + len(self.running()))
        while len(self.workers) < wanted:
            self.workers.append(_start(self.folder, self.options))
        for worker in self.workers:
            if worker.ready and worker.cell is None and self.waiting:
                worker.cell = self.waiting.popleft()
                worker.deadline = monotonic() + worker.cell.timeout
                with contextlib.suppress(BrokenPipeError):  # it just died: `collect` sees that next
                    worker.pipe.send(worker.cell)

    def collect(self) -> list[tuple[Cell, Ended]]:
        """Wait for a moment, and take what the workers have to say."""
        wait([handle for worker in self.workers for handle in (worker.pipe, worker.process.sentinel)], TICK_SECONDS)
        found = [self._news(worker) for worker in list(self.workers)]
        return [item for item in found if item is not None]

    def _news(self, worker: _Worker) -> tuple[Cell, Ended] | None:
        cell = worker.cell
        with contextlib.suppress(EOFError, ConnectionResetError):  # closed pipe: the process is gone, see below
            if worker.pipe.poll():
                message = worker.pipe.recv()
                worker.ready, worker.cell, worker.deadline = True, None, float("inf")
                if isinstance(message, StoreError):
                    raise message
                self.failed_starts = 0
                return (cell, message) if cell is not None else None
        if not worker.process.is_alive():
            return self._bury(worker, "failed", _how_it_died(worker.process.exitcode))
        if monotonic() > worker.deadline and cell is not None:
            worker.process.kill()
            worker.process.join()
            return self._bury(worker, "timeout", f"ran longer than {cell.timeout:g} s")
        return None

    def _bury(self, worker: _Worker, status: str, reason: str) -> tuple[Cell, Ended] | None:
        self.workers.remove(worker)
        if worker.cell is None:
            self.failed_starts += not worker.ready
            if self.failed_starts >= START_ATTEMPTS:
                raise WorkersCannotStartError(f"{START_ATTEMPTS} workers in a row died while starting: {reason}")
            return None
        return worker.cell, _record_end(worker.cell, self.folder, status, reason)

    def dismiss(self) -> None:
        for worker in self.workers:
            with contextlib.suppress(BrokenPipeError):
                worker.pipe.send(None)
            worker.process.join(timeout=5)

    def kill(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()


def _start(folder: Path, options: Options) -> _Worker:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_work, args=(theirs, folder, os.getpid(), options), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection, folder: Path, parent: int, options: Options) -> None:
    """A worker's life: say that it is ready, then run what comes until None comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run itself answers Ctrl-C
    enter_worker(folder, parent)
    _settle(options)
    pipe.send("ready")
    while (cell := pipe.recv()) is not None:
        try:
            pipe.send(execute(cell, folder))
        except StoreError as error:
            pipe.send(error)


def _settle(options: Options) -> None:
    """Threads and memory of this process, before and after torch is there."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    if options.memory is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (options.memory, options.memory))
    import torch

    torch.set_num_threads(options.threads)


def _how_it_died(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (the system kills with SIGKILL when memory runs out)" if name == "SIGKILL" else ""
        return f"worker process killed by {name}{hint}"
    return f"worker process ended with exit code {exitcode}"


def _record_end(cell: Cell, folder: Path, status: str, reason: str) -> Ended:
    """A record for a cell whose worker is gone, unless the worker had already written it."""
    store = Store(folder)
    with contextlib.suppress(KeyError):
        record = store.read(cell.id)
        if record.status == "ok":
            return ended(record)
    seconds = cell.timeout if status == "timeout" else 0.0
    return ended(store.write(failure(cell, status, reason, started=now(), seconds=seconds), None))
