"""What `sparsebench prepare` makes beyond the sources: what tasks derive from them, before a cell waits for it."""

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from .discovery.loading import load_task
from .discovery.registry import find
from .identity.cell import Cell


@runtime_checkable
class DerivesData(Protocol):
    """A task whose data are made from its sources once a machine and kept in the cache (`sparsebench.data.derived`)."""

    def derive_data(self) -> None:
        """Make what is not there yet, and verify all of it. Raises `DataError`."""


def derive_data(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Let each task of cells that can run make and verify what it derives; ``say`` gets a line before and after.

    Raises what a task raises.
    """
    names = {(cell.info.suite, cell.info.task) for cell in cells if cell.reason is None}
    for suite, name in sorted(names):
        task = load_task(find("task", name, suite))
        if isinstance(task, DerivesData):
            say(f"{suite}/{name}: making and verifying what is derived from its sources; minutes the first time")
            task.derive_data()
            say(f"{suite}/{name}: ready")
