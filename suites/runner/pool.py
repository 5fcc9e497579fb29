"""One pool of worker processes: a cell that crashes or runs out of time ends its worker, not the run."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from sparsebench.reports.store import Store, StoreError

from .cell import Cell
from .execute import Ended, execute, failure, now
from .locks import enter_worker

TICK_SECONDS = 0.5


@dataclass(frozen=True)
class Tick:
    """What the pool did since the last tick: cells that ended, and cells that run now."""

    ended: Sequence[tuple[Cell, Ended]]
    running: Sequence[Cell]


def run_cells(cells: Sequence[Cell], folder: Path, workers: int, threads: int, memory: int | None) -> Iterator[Tick]:
    """Run the cells in worker processes, in order. Every cell has its record when it is reported as ended.

    `memory` bounds what one worker may allocate, in bytes. Raises `StoreError` when records cannot be written.
    """
    with _pool(folder, workers, threads, memory) as pool:
        futures: dict[Future, Cell] = {
            pool.schedule(execute, args=(cell, folder), timeout=cell.timeout): cell for cell in cells
        }
        waiting = set(futures)
        while waiting:
            finished, waiting = wait(waiting, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
            ended = [(futures[future], _result(future, futures[future], folder)) for future in finished]
            yield Tick(ended, [futures[future] for future in waiting if future.running()])


@contextmanager
def _pool(folder: Path, workers: int, threads: int, memory: int | None) -> Iterator[Any]:
    pool = ProcessPool(
        max_workers=workers,
        initializer=_start_worker,
        initargs=(folder, os.getpid(), threads, memory),
        context=get_context("spawn"),
    )
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


def _start_worker(folder: Path, parent: int, threads: int, memory: int | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run itself answers Ctrl-C
    enter_worker(folder, parent)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    if memory is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    import torch

    torch.set_num_threads(threads)


def _result(future: Future, cell: Cell, folder: Path) -> Ended:
    try:
        return future.result()
    except StoreError:
        raise
    except TimeoutError:
        return _record_end(cell, folder, "timeout", f"ran longer than {cell.timeout:g} s", cell.timeout)
    except ProcessExpired as error:
        return _record_end(cell, folder, "failed", _how_it_died(error.exitcode), 0.0)


def _how_it_died(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (the system kills with SIGKILL when memory runs out)" if name == "SIGKILL" else ""
        return f"worker process killed by {name}{hint}"
    return f"worker process ended with exit code {exitcode}"


def _record_end(cell: Cell, folder: Path, status: str, reason: str, seconds: float) -> Ended:
    record = failure(cell, status, reason, started=now(), seconds=seconds)
    Store(folder).write(record, None)
    return Ended(cell.id, status, reason, seconds)
