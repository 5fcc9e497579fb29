"""What a worker process does: it settles, says that it is ready, and runs one cell, or several that may share it."""

import contextlib
import functools
import os
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from sparsebench.reports.records.record import CellInfo
from sparsebench.reports.records.store import StoreError

from ....discovery.further_suites import registered
from ....discovery.registry import register_suite
from ....identity.cell import Cell
from ...execute import End, Result, checkpoints_of, end_of, run_cell, write
from ...explanation import one_line
from ...guard import state
from ...isolation.preload import import_cell, warm_up
from ...isolation.settle import settle
from ...locks import hold_as_worker


@dataclass(frozen=True)
class Work:
    """To a worker: a cell, the number of this attempt at it, and whether its clock runs already.

    It does where the worker has imported all that the cell needs for an earlier one. If the process is `shared`, other
    cells may follow in it.
    """

    cell: Cell
    attempt: int
    begun: bool = False
    shared: bool = False


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
    """With `done`: an `End`, the `StoreError` that kept the record from being written, or why the process could not."""
    leaving: bool = False
    """Whether the worker ends now, since the cell is to be alone or left something behind in it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one worker is started with: the result folder, threads, bound on its memory in bytes, its accelerator."""

    folder: Path
    threads: int
    memory: int | None
    device: str | None


def prepare(folder: Path, cells: Sequence[CellInfo], packages: Sequence[str], wanted: Callable[[], bool]) -> None:
    """Once in the process that workers are forked from, which knows the suites that the run has registered.

    It holds the folder as they do: when the run is gone, it has to end them before the next one begins.
    """
    for package in packages:
        register_suite(package)
    warm_up(cells, wanted)
    if wanted():
        hold_as_worker(folder)


def preparation(folder: Path, cells: Sequence[CellInfo]) -> Callable[[Callable[[], bool]], None]:
    """`prepare` for a folder and one cell of each kind."""
    return functools.partial(prepare, folder, cells, registered())


def work(pipe: Connection, settings: Settings) -> None:
    """A worker's life: say that it is ready, then run what comes until the run is gone or a cell ends it."""
    limits = _Limits()
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
            found = state() if given.shared else None
            result = run_cell(given.cell, checkpoints_of(given.cell, settings.folder))
            leaving = not given.shared or result.spent or state() != found
            pipe.send(Message("done", process, given.attempt, _write(result, given, settings, limits), leaving))


class _Limits:
    """What a process may write and how, as it was before a cell: its record is written as every other one."""

    NAMES = (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)

    def __init__(self) -> None:
        self._mask = os.umask(0)
        os.umask(self._mask)
        self._limits = {name: resource.getrlimit(name) for name in self.NAMES}

    def restore(self) -> None:
        """Raises `ValueError` or `OSError` where the cell gave up for good what it may write."""
        os.umask(self._mask)
        for name, limits in self._limits.items():
            resource.setrlimit(name, limits)


def _write(result: Result, given: Work, settings: Settings, limits: _Limits) -> End | StoreError | str:
    """How the cell ended, why nothing can be written, or why this process cannot write it any more."""
    try:
        limits.restore()
        return end_of(write(result, given.cell, settings.folder))
    except StoreError as error:
        return error
    except Exception as error:  # a cell may have patched or closed what writing needs
        return f"its process could not write the record: {type(error).__name__}: {one_line(error)}"
