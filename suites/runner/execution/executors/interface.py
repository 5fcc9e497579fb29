"""What every executor does: it takes cells, and says what becomes of each.

The records are the truth: the record of a cell is in the result folder before the event that says so.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from ...errors import ExecutorError
from ...identity.cell import Cell
from ..execute import End

__all__ = ["Ended", "Event", "Executor", "ExecutorError", "Notice", "Options", "Retried", "Started"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How cells run.

    `threads` are those of each worker, `memory` is the bound on one worker in bytes (None: what the machine carries),
    `share_workers` lets cells under a second share a process (`local/sharing.py`). `executor` names what runs them
    (`choice.py`), `address` is the HOST:PORT where it is to be found, if it is to be found anywhere.
    `lease` is for how many seconds a process that shares the result folder may give no sign of life.
    `device` is what was asked for (auto, cpu, cuda, or cuda:N for the one device that workers here may use).
    """

    workers: int
    threads: int = 1
    memory: int | None = None
    share_workers: bool = False
    executor: str = "local"
    address: str | None = None
    lease: float = 30.0
    device: str = "auto"


@dataclass(frozen=True)
class Started:
    """A cell runs now; `place` says where, for people ("worker 4711", "node b, worker 12")."""

    cell: Cell
    place: str


@dataclass(frozen=True)
class Retried:
    """A cell lost its worker, through no fault that is known to be its own, and waits again; once a cell at most."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Ended:
    """A cell has come to an end, and its record is in the result folder.

    `elsewhere`: another process that shares the folder ran it.
    """

    cell: Cell
    end: End
    elsewhere: bool = False


@dataclass(frozen=True)
class Notice:
    """Something of no single cell that people should know: a machine that is not used, and why."""

    text: str


Event = Started | Retried | Ended | Notice


class Executor(ABC):
    """Runs cells. A context manager that closes itself.

    Each cell that was submitted and not cancelled gets one `Ended`, whatever happens to it.
    """

    @abstractmethod
    def submit(self, cells: Sequence[Cell]) -> None:
        """Take the cells on, to run after those that wait already. May be called at any time before `close`."""

    @abstractmethod
    def events(self, seconds: float) -> list[Event]:
        """What happened since the last call, in order; waits for something to happen, for at most so long.

        Raises `StoreError` when records cannot be written, `ExecutorError` when no cell can run here.
        """

    @abstractmethod
    def cancel(self, ids: Collection[str]) -> None:
        """Drop these cells where they wait and end them where they run: no record and no further event for them."""

    @abstractmethod
    def close(self) -> None:
        """End what runs. Afterwards no worker is left; calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
