"""The imports of cells, done before their clocks start.

The files that a score passes through are known without running them (`discovery.closure`), and so is all that they
import, inside functions too. What the cells of a task share is read as well: nothing that a cell does to it reaches
another one.
"""

import contextlib
import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator

from sparsebench.reports.records import record
from sparsebench.reports.records.record import CellInfo

from ...discovery.closure import TOP
from ...discovery.loading import load_task
from ...discovery.modules import EVERYTHING, SUBMODULES, Module, Taken
from ...discovery.parts import parts_of
from ...discovery.registry import Entry, find
from ...errors import UsageError
from ...identity.fingerprint import costs_hash, covered, source_tree
from ..environment import machine


def kind_of(info: CellInfo) -> tuple:
    """Equal for cells that import the same."""
    methods = tuple(link.method for link in info.links)
    return info.suite, methods, info.task, info.backbone, *info.further_backbones


def one_of_each(cells: Iterable[CellInfo]) -> list[CellInfo]:
    """One cell of those that import the same."""
    found: dict[tuple, CellInfo] = {}
    for info in cells:
        found.setdefault(kind_of(info), info)
    return list(found.values())


def warm_up(cells: Iterable[CellInfo], wanted: Callable[[], bool]) -> None:
    """In a process that others are forked from: import libraries and modules of ours, and read what cells share.

    Modules of plug-ins are read, not imported: what they do then is no business of the cells of others.

    Args:
        cells: one of each kind that is to come.
        wanted: asked now and then; this returns early when it says no.
    """
    machine()
    record.prepare()
    _import_all(cells, wanted)
    for suite, task in dict.fromkeys((info.suite, info.task) for info in cells):
        if wanted():
            _load_shared(suite, task)


def _import_all(cells: Iterable[CellInfo], wanted: Callable[[], bool]) -> None:
    done: set[str] = set()
    for info in cells:
        for module in _modules(parts_of(info).entries):
            if not wanted():
                return
            if module.name not in done and _top(module.name) == TOP:
                done.add(module.name)
                _import_for(module)


def _load_shared(suite: str, name: str) -> None:
    """Have a task of ours read what its cells share; what cannot be read is left to the cell, which says so."""
    import torch

    torch.set_num_threads(1)  # a pool of threads does not live through a fork; each cell sets its own number
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        entry = find("task", name, suite)
        if _top(entry.module) == TOP:
            load_task(entry).load_shared()


def import_cell(info: CellInfo) -> None:
    """Import all that a cell needs, its methods, task and backbones first.

    What cannot be imported is left to the cell: it fails with the same error, which its record then holds.
    """
    _import_entries(parts_of(info).entries)


@functools.cache
def _import_entries(entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            importlib.import_module(entry.module)
    for module in _modules(entries):
        _import_for(module)


def _modules(entries: tuple[Entry, ...]) -> list[Module]:
    """The modules of ours and of plug-ins that a score passes through; none if they have gone since the plan."""
    try:
        costs_hash(entries)  # each cell writes it down: what is looked up for it here, no child looks up again
        return covered(entries, source_tree())
    except UsageError:
        return []


def _import_for(module: Module) -> None:
    """Import a module of ours, and what a module names of libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an import's warnings are not those of the cell that happens to come first
        names = list(_of_libraries(module))
        if _top(module.name) == TOP:
            names.append(Taken(module.name))
        for taken in names:
            with contextlib.suppress(
                Exception
            ):  # optional and not installed, or broken: the cell says so if it matters
                imported = importlib.import_module(taken.module)
                if taken.name not in (EVERYTHING, SUBMODULES):
                    getattr(imported, taken.name)  # some libraries import a name when it is asked for


def _of_libraries(module: Module) -> Iterator[Taken]:
    for taken in module.imports:
        top = _top(taken.module)
        if top not in (TOP, _top(module.name)) and top not in sys.stdlib_module_names:
            yield taken


def _top(name: str) -> str:
    return name.partition(".")[0]
