"""The hash of what a cell runs, so that a run that goes on never crosses a change of the code.

It covers the files that a score passes through (`closure`), those that put it together and set up its process, the
versions of Python, numpy and the suite's libraries, where the declared data sources have their files, the switches in
the environment that this code reads, and the kind of device. The number of threads and the model of the processor are
not in it: they change the last digits at most, and records name them. What only measures costs has a hash of its own.
"""

import functools
import hashlib
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version

from sparsebench.data.sources import source
from sparsebench.reports.records.record import Record

from ..discovery.closure import DESCRIBERS, Tree
from ..discovery.modules import Module
from ..discovery.registry import Entry, suite
from ..errors import UsageError, near
from .switches import as_cells_have_it

EXECUTION = "sparsebench.suites.runner.execution.scoring"
"""What brings method, task and backbone together."""
SETTING = tuple(
    f"sparsebench.suites.runner.{name}"
    for name in (
        "discovery.loading",
        "discovery.validation",
        "execution.assembly",
        "execution.isolation.settle",
    )
)
"""What makes method, task and backbone from their names, and how their process is set up: these files count, but not
what they import. All the rest of the runner stands around the score."""
EVERYWHERE = ("numpy",)
"""Libraries that count in every suite: splits and orders are drawn with them."""
PLACES = ("SPARSEBENCH_CACHE", "SPARSEBENCH_OFFLINE")
"""Variables that say where things are, not what is computed."""


def code_hash(entries: Sequence[Entry], versions: Mapping[str, str], device: str, tree: Tree | None = None) -> str:
    """Hash of what a method, a task and a backbone run (16 hex digits).

    Args:
        entries: the three of them.
        versions: the versions of the libraries whose change can change a score.
        device: the kind of device.
        tree: where the source files are; those of this installation unless given.

    Raises:
        UsageError: the backbone's file names a describer that there is not.
    """
    lines = code_lines(entries, versions, device, tree or source_tree())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def code_lines(entries: Sequence[Entry], versions: Mapping[str, str], device: str, tree: Tree) -> list[str]:
    """What goes into the code hash, one line for each thing that can differ, with its name first."""
    modules = covered(entries, tree, costs=False)
    data = {f"{path.name} {tree.checksum(path)}" for module in modules for path in tree.data(module)}
    around = [module for name in SETTING if (module := tree.module(name)) is not None]
    parts = [f"{name}=={number}" for name, number in sorted(versions.items())]
    rows = {entry.module: entry for entry in entries if _is_one_row(entry, modules)}
    for module in modules:
        code = module.code if module.name not in rows else module.code_around_table
        parts.append(f"{module.name} {code}")
    parts += [f"{module.name} {module.code}" for module in around]
    parts += [f"{name} {sorted(entry.row_fields.items())}" for name, entry in rows.items()]
    parts += sorted(data)
    parts += [f"{name}={as_cells_have_it(name)}" for name in sorted(_switches(modules))]
    parts += [f"{name} {sorted(source(name).paths.items())}" for entry in entries for name in entry.sources]
    parts.append(f"device {device}")
    return parts


@functools.cache
def source_tree() -> Tree:
    """The source files as this process first finds them."""
    return Tree()


def costs_hash(entries: Sequence[Entry], tree: Tree | None = None) -> str:
    """Hash of the code that only measures what a cell of these entries costs (16 hex digits)."""
    return hashlib.sha256("\n".join(costs_lines(entries, tree or source_tree())).encode()).hexdigest()[:16]


def costs_lines(entries: Sequence[Entry], tree: Tree) -> list[str]:
    """What goes into the hash of costs: the modules that no score passes through."""
    scores = {module.name for module in covered(entries, tree, costs=False)}
    return [f"{module.name} {module.code}" for module in covered(entries, tree) if module.name not in scores]


def covered(entries: Sequence[Entry], tree: Tree, *, costs: bool = True) -> list[Module]:
    """The modules that a score of these entries passes through, and those that its `costs` do.

    Raises `UsageError` for an unknown describer.
    """
    starts = roots(entries, tree)
    companions: set[str] = set()
    for entry in entries:
        companions |= set(entry.companions)
    return tree.closure(starts, companions, costs=costs)


def roots(entries: Iterable[Entry], tree: Tree) -> tuple[str, ...]:
    """The modules that a cell of these entries starts from. Raises `UsageError` for an unknown describer."""
    found = [EXECUTION]
    for entry in entries:
        found += [entry.module, *_describers(entry, tree)]
    return tuple(found)


def _is_one_row(entry: Entry, modules: Iterable[Module]) -> bool:
    """Whether no other row of the entry's table can change what it does: no code reads the table."""
    if entry.row is None:
        return False
    for module in modules:
        reads = module.name == entry.module and module.reads_its_table
        if reads or entry.module in module.imported:
            return False
    return True


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The installed versions of a suite's libraries, of those that count everywhere, and of Python (as 3.11)."""
    found = {name: installed(name) for name in (*libraries, *EVERYWHERE)}
    return found | {"python": python_series(platform.python_version())}


def recorded_versions(record: Record) -> Mapping[str, str]:
    """The versions that the record was made with, of Python and the libraries that count in its suite.

    Raises `UsageError`.
    """
    noted = record.environment.get("libraries")
    if not isinstance(noted, dict):
        noted = {}
    python = record.environment.get("python")
    if isinstance(python, str):
        noted = {**noted, "python": python_series(python)}
    return {name: noted.get(name, here) for name, here in versions(suite(record.cell.suite).libraries).items()}


def python_series(full: str) -> str:
    """3.11 of 3.11.7."""
    return ".".join(full.split(".")[:2])


@functools.cache
def installed(distribution: str) -> str:
    """The installed version of a distribution, or "absent"."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def _describers(entry: Entry, tree: Tree) -> Iterator[str]:
    """The describers that a backbone's file names, by name or by pattern (`DESCRIBERS = ("hf_*",)`)."""
    known = [name.rpartition(".")[2] for name in tree.submodules(DESCRIBERS)]
    for pattern in entry.constant("DESCRIBERS", ()):
        matching = [name for name in known if fnmatch(name, pattern)]
        if not matching:
            raise UsageError(f"backbone {entry.name!r} names the describer {pattern!r}{near(pattern, known)}")
        yield from (f"{DESCRIBERS}.{name}" for name in matching)


def _switches(modules: Iterable[Module]) -> set[str]:
    """Environment variables of ours that these modules name and that may change a number."""
    named = {name for module in modules for name in module.variables}
    return named.difference(PLACES)
