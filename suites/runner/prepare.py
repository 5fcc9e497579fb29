"""What is done before a cell runs: `prepare` makes what tasks derive, `run` checks folders of the user's and pairs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from sparsebench.data.own.named_folders import not_named
from sparsebench.data.own_files import existing_place, is_own_file

from ..contracts.method import WrongBackboneError
from ..contracts.traits import READY_HEAD
from .discovery.entry import Entry
from .discovery.loading import Loaded, load_parts, load_task
from .errors import UsageError
from .execution.explanation import one_line
from .identity.cell import Cell
from .identity.weights import any_unpinned

CHECKS = "CHECKS_DATA"
"""The constant of a file of tasks that have `check_data`: only these are imported to ask them."""
CHECKS_BACKBONES = "CHECKS_BACKBONES"
"""That of a file of a method that has `check_backbones`."""


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
    for entry in _tasks(cells):
        if entry.constant(CHECKS, False):
            task = load_task(entry)
            assert isinstance(task, ChecksData)
            say(f"{entry.suite}/{entry.name}: checking its folder")
            task.check_data()


def refuse_without_own_data(cells: Iterable[Cell]) -> None:
    """Raise where nothing can run, or nothing be identified, without a file or folder that the user has to supply.

    A plan of which a part alone needs a folder that is not named goes on: its other cells run, and these say why not.

    Raises:
        UsageError: every cell that could run needs such a folder.
        LocalFolderError: a task names a file of its owner's that is not there.
    """
    waiting = [cell for cell in cells if cell.reason is None]
    missing = [missing_folder(cell) for cell in waiting]
    for name in sorted({name for cell in waiting for name in cell.sources if is_own_file(name)}):
        existing_place(name)
    if missing and all(missing):
        raise UsageError("; ".join(sorted({text for text in missing if text})))


def nothing_but_unfetched(cells: Iterable[Cell]) -> bool:
    """Whether every cell that could run has a backbone of a hub that is not on this machine."""
    unpinned = [any_unpinned(cell.weights) for cell in cells if cell.reason is None]
    return bool(unpinned) and all(unpinned)


def missing_folder(cell: Cell) -> str:
    """What a cell needs and nobody has named; read from files, nothing is imported."""
    return next(filter(None, map(not_named, cell.sources)), "")


def check_backbones(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Let each method that says so look at the backbones that it is to use together, each set of them once.

    ``say`` gets a line before each. Raises `UsageError` for a row whose backbones do not go together, before any of
    its cells trains. Those that cannot be loaded are named; their cells will say why, too.
    """
    asked: set[tuple[tuple[Entry, str], ...]] = set()
    for cell in cells:
        asks = any(entry.constant(CHECKS_BACKBONES, False) for entry in cell.parts.methods)
        if cell.reason is not None or not asks or cell.parts.backbones in asked:
            continue
        if READY_HEAD not in load_task(cell.parts.task).gives:
            continue  # the task puts a head of its own on each of them
        asked.add(cell.parts.backbones)
        _check_pair(cell, load_parts(cell.parts, cell.info.links), say)


def derive_data(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Let each task of cells that can run make and verify what it derives; ``say`` gets a line before and after.

    Raises what a task raises.
    """
    for entry in _tasks(cells):
        task = load_task(entry)
        if isinstance(task, DerivesData):
            place = f"{entry.suite}/{entry.name}"
            say(f"{place}: making and verifying what is derived from its sources; minutes the first time")
            task.derive_data()
            say(f"{place}: ready")


def _check_pair(cell: Cell, loaded: Loaded, say: Callable[[str], None]) -> None:
    """Load the backbones of a cell and let its methods look at them; one that cannot be loaded is named."""
    info = cell.info
    say(f"{info.suite}: checking whether {info.backbone} goes with {', '.join(info.further_backbones)}")
    backbones = _backbones(loaded.loaders, info.suite, say)
    if backbones is None:
        return
    for entry, method in zip(cell.parts.methods, loaded.chain, strict=True):
        try:
            if entry.constant(CHECKS_BACKBONES, False):
                method.check_backbones(backbones[info.backbone], backbones)
        except WrongBackboneError as error:
            raise UsageError(f"{cell.title}: {error}") from None


def _backbones(
    loaders: Mapping[str, Callable[..., Any]], suite: str, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """The backbones by name; None, with a line about it, where one of them cannot be loaded."""
    import torch

    loaded = {}
    for name, load in loaders.items():
        try:
            loaded[name] = load(torch.Generator().manual_seed(0))
        except Exception as error:  # whatever a library or a plug-in raises: it is no verdict on the pair
            say(f"{suite}: {name} cannot be loaded, so nobody knows: {type(error).__name__}: {one_line(error)}")
            return None
    return loaded


def _tasks(cells: Iterable[Cell]) -> list[Entry]:
    """The tasks of cells that can run, each once."""
    found = {(cell.info.suite, cell.info.task): cell for cell in cells if cell.reason is None}
    return [found[place].parts.task for place in sorted(found)]
