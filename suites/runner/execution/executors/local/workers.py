"""One worker as the run sees it, and the workers that there are."""

import os
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import Literal

from sparsebench.reports.records.store import RECORDS

from ....identity.cell import Cell
from ...execute import now


@dataclass
class Attempt:
    """A cell in a worker."""

    cell: Cell
    number: int
    record_before: tuple[int, int] | None
    """Identity of the record's file when the attempt began, so that an older record is not taken for this one's."""
    started: str = field(default_factory=now)
    begun: bool = False
    """Whether its imports are done and its clock runs."""
    follows: bool = False
    """Whether other cells were in this process before."""


@dataclass(frozen=True)
class Verdict:
    """Why a worker is being ended."""

    kind: Literal["timeout", "cancelled", "lost"]
    reason: str = ""


@dataclass(eq=False)
class Worker:
    """A process by its number at the fork server, the run's end of its pipe, and what it is doing.

    `process` is None until it is ready. `deadline` is when it has to have come to the next step, in seconds of
    `monotonic`.
    """

    number: int
    pipe: Connection
    device: str | None
    deadline: float
    process: int | None = None
    attempt: Attempt | None = None
    shared: bool = False
    """Whether cells have been in it that others may follow."""
    leaving: bool = False
    verdict: Verdict | None = None
    is_open: bool = True
    kinds: set[tuple] = field(default_factory=set)
    """The kinds of cells (`preload.kind_of`) whose imports are done."""

    @property
    def is_idle(self) -> bool:
        """Whether it can be given a cell."""
        return self.process is not None and self.attempt is None and not self.leaving and self.verdict is None

    @property
    def is_late(self) -> bool:
        """Whether it is past its deadline."""
        return self.verdict is None and monotonic() > self.deadline


def record_identity(folder: Path, id: str) -> tuple[int, int] | None:
    """What tells the file of a record from one that is written later in its place; None without a file."""
    try:
        found = os.stat(f"{folder}/{RECORDS}/{id}.json")  # noqa: PTH116 -- once a cell, and a Path takes longer
    except (FileNotFoundError, NotADirectoryError):  # what is wrong with the folder, writing into it will say
        return None
    return found.st_ino, found.st_mtime_ns
