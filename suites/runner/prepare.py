"""What is done before a cell runs: `prepare` makes what tasks derive, `run` checks the folders of the user's."""

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from .discovery.loading import load_task
from .discovery.registry import find
from .identity.cell import Cell

CHECKS = "CHECKS_DATA"
"""The constant of a file of tasks that have `check_data`: only these are imported to ask them."""


@runtime_checkable
class DerivesData(Protocol):
    """A task whose data are made from its sources once a machine and kept in the cache (`sparsebench.data.derived`)."""

    def derive_data(self) -> None:
        """Make what is not there yet, and verify all of it. Raises `DataError`."""


@runtime_checkable
class ChecksData(Protocol):
    """A task whose data are a folder of the user's, which may be anything."""

    def check_data(self) -> None:
        """Read all of it, if it is there. Raises `DataError` for what is wrong with it."""


def check_data(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Let each task of these cells that says so check its data, so that no training starts on a broken folder.

    ``say`` gets a line before each. Raises what a task raises.
    """
    for suite, name in _tasks(cells):
        entry = find("task", name, suite)
        if entry.constant(CHECKS, False):
            task = load_task(entry)
            assert isinstance(task, ChecksData)
            say(f"{suite}/{name}: checking its folder")
            task.check_data()


def derive_data(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Let each task of cells that can run make and verify what it derives; ``say`` gets a line before and after.

    Raises what a task raises.
    """
    for suite, name in _tasks(cells):
        task = load_task(find("task", name, suite))
        if isinstance(task, DerivesData):
            say(f"{suite}/{name}: making and verifying what is derived from its sources; minutes the first time")
            task.derive_data()
            say(f"{suite}/{name}: ready")


def _tasks(cells: Iterable[Cell]) -> list[tuple[str, str]]:
    """Suite and name of the tasks of cells that can run, each once."""
    return sorted({(cell.info.suite, cell.info.task) for cell in cells if cell.reason is None})
