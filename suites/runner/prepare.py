"""What is done before a cell runs: `prepare` makes what tasks derive, `run` checks folders of the user's and pairs."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from sparsebench.data.derived import heard_by
from sparsebench.data.own_files import is_own_file
from sparsebench.data.sources import ensure, source
from sparsebench.reports.records.record import Link

from ..contracts.method import WrongBackboneError
from ..contracts.traits import READY_HEAD
from .discovery.loading import backbone_loader, load_method, load_task
from .discovery.registry import find
from .errors import UsageError
from .execution.explanation import one_line
from .identity.cell import Cell

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
    for suite, name in _tasks(cells):
        entry = find("task", name, suite)
        if entry.constant(CHECKS, False):
            task = load_task(entry)
            assert isinstance(task, ChecksData)
            say(f"{suite}/{name}: checking its folder")
            task.check_data()


def refuse_without_own_data(cells: Iterable[Cell]) -> None:
    """Raise where nothing can run, or nothing be identified, without a file or folder that the user has to supply.

    A plan of which a part alone needs a folder that is not named goes on: its other cells run, and these say why not.

    Raises:
        UsageError: every cell that could run needs such a folder.
        LocalFolderError: a task names a file of its owner's that is not there.
    """
    waiting = [cell for cell in cells if cell.reason is None]
    for name in sorted({name for cell in waiting for name in cell.sources if is_own_file(name)}):
        ensure(name)
    missing = [missing_folder(cell) for cell in waiting]
    if missing and all(missing):
        raise UsageError("; ".join(sorted({text for text in missing if text})))


def missing_folder(cell: Cell) -> str:
    """What a cell needs and nobody has named; read from files, nothing is imported."""
    for about in map(source, cell.sources):
        if about.environment and not os.environ.get(about.environment):
            return f"{about.name} is a folder of yours: set {about.environment} to it; {about.note}"
    return ""


def check_backbones(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Let each method that says so look at the backbones that it is to use together, each set of them once.

    ``say`` gets a line before each. Raises `UsageError` for a row whose backbones do not go together, before any of
    its cells trains. Those that cannot be loaded are named; their cells will say why, too.
    """
    asked: set[tuple[str, ...]] = set()
    for cell in cells:
        info = cell.info
        names = (info.backbone, *info.further_backbones)
        methods = [link for link in info.links if find("method", link.method).constant(CHECKS_BACKBONES, False)]
        if cell.reason is not None or not methods or (info.suite, *names) in asked:
            continue
        if READY_HEAD not in load_task(find("task", info.task, info.suite)).gives:
            continue  # the task puts a head of its own on each of them
        asked.add((info.suite, *names))
        say(f"{info.suite}: checking whether {info.backbone} goes with {', '.join(info.further_backbones)}")
        loaded = _load(info.suite, names, say)
        if loaded is not None:
            _ask(cell, methods, loaded)


def derive_data(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Let each task of cells that can run make and verify what it derives; ``say`` gets lines before, within and after.

    Raises what a task raises.
    """
    for suite, name in _tasks(cells):
        task = load_task(find("task", name, suite))
        if isinstance(task, DerivesData):
            say(f"{suite}/{name}: making and verifying what is derived from its sources; minutes the first time")
            with heard_by(say):
                task.derive_data()
            say(f"{suite}/{name}: ready")


def _load(suite: str, names: Sequence[str], say: Callable[[str], None]) -> dict[str, Any] | None:
    """The backbones by name; None, with a line about it, where one of them cannot be loaded."""
    import torch

    loaded = {}
    for name in names:
        load = backbone_loader(find("backbone", name, suite), name)
        try:
            loaded[name] = load(torch.Generator().manual_seed(0))
        except Exception as error:  # whatever a library or a plug-in raises: it is no verdict on the pair
            say(f"{suite}: {name} cannot be loaded, so nobody knows: {type(error).__name__}: {one_line(error)}")
            return None
    return loaded


def _ask(cell: Cell, methods: Sequence[Link], loaded: Mapping[str, Any]) -> None:
    for link in methods:
        method = load_method(find("method", link.method), link.config)
        try:
            method.check_backbones(loaded[cell.info.backbone], loaded)
        except WrongBackboneError as error:
            raise UsageError(f"{cell.title}: {error}") from None


def _tasks(cells: Iterable[Cell]) -> list[tuple[str, str]]:
    """Suite and name of the tasks of cells that can run, each once."""
    return sorted({(cell.info.suite, cell.info.task) for cell in cells if cell.reason is None})
