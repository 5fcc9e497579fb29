"""What a worker process does: it settles, says that it is ready, and runs one cell after another."""

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from sparsebench.reports.record import CellInfo
from sparsebench.reports.store import StoreError

from ....identity.cell import Cell
from ...execute import End, Result, checkpoints_of, end_of, run_cell, write
from ...isolation.preload import import_cell, warm_up
from ...isolation.settle import settle
from ...locks import hold_as_worker


@dataclass(frozen=True)
class Work:
    """To a worker: a cell, the number of this attempt at it, and whether its clock runs already.

    It does where the worker has imported all that the cell needs for an earlier one.
    """

    cell: Cell
    attempt: int
    begun: bool = False


@dataclass(frozen=True)
class Message:
    """From a worker.

    `begun` says that the cell's imports are done and its clock starts, `done` how it ended. A message counts only if
    it comes from the process that said `ready`, and is about the attempt that this worker was given: a process that a
    cell has forked may still hold the pipe.
    """

    kind: Literal["ready", "begun", "done"]
    process: int
    attempt: int | None = None
    content: Any = None
    """With `done`: an `End`, or the `StoreError` that kept the record from being written."""
    leaving: bool = False
    """Whether the worker ends now, since the cell left something behind in it or is to be alone."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of one worker: the result folder, threads, bound on its memory in bytes, its accelerator, one cell or many."""

    folder: Path
    threads: int
    memory: int | None
    device: str | None
    isolate: bool


def prepare(folder: Path, cells: Sequence[CellInfo], wanted: Callable[[], bool]) -> None:
    """Once in the process that workers are forked from.

    It holds the folder as they do: when the run is gone, it has to end them before the next one begins.
    """
    warm_up(cells, wanted)
    if wanted():
        hold_as_worker(folder)


def preparation(folder: Path, cells: Sequence[CellInfo]) -> Callable[[Callable[[], bool]], None]:
    """`prepare` for a folder and one cell of each kind."""
    return functools.partial(prepare, folder, cells)


def work(pipe: Connection, settings: Settings) -> None:
    """A worker's life: say that it is ready, then run what comes until the run is gone or a cell ends it."""
    hold_as_worker(settings.folder)
    settle(settings.threads, settings.memory, settings.device)
    # What a cell forks cannot speak for this process.
    os.register_at_fork(after_in_child=pipe.close)
    process = os.getpid()
    with contextlib.suppress(EOFError, ConnectionResetError, BrokenPipeError):  # the run is gone
        pipe.send(Message("ready", process))
        leaving = False
        while not leaving:
            given: Work = pipe.recv()
            if not given.begun:
                import_cell(given.cell.info)
                pipe.send(Message("begun", process, given.attempt))
            result = run_cell(given.cell, checkpoints_of(given.cell, settings.folder))
            leaving = settings.isolate or result.spent
            pipe.send(Message("done", process, given.attempt, _write(result, given, settings.folder), leaving))


def _write(result: Result, given: Work, folder: Path) -> End | StoreError:
    """How the cell ended, or why that cannot be written."""
    try:
        return end_of(write(result, given.cell, folder))
    except StoreError as error:
        return error
