"""What there is to run: methods, tasks and backbones, found by file and by entry point, read without importing them.

A module is parsed, not imported, so that `sparsebench list` needs no torch. Entry points: `sparsebench.methods`
(`name = "package.module"`), `sparsebench.tasks` and `sparsebench.backbones` (`"suite.name" = "package.module"`).
A task is a file, or a row of a file with a table (`table.py`). Routers, splits and criteria of others come by entry
points, too (`sparsebench.routers`, `.splits`, `.criteria`), and so do whole suites (`further_suites.py`), which
`register_suite` adds in one process.
"""

import functools
import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ...contracts.suite import Suite
from ..errors import UsageError, near
from .built_in import built_in
from .entry import PARTS, Entry, Kind
from .further_suites import FurtherSuites, Place, read_suites, register
from .plugins import misplaced, read_plugins

ROOT = Path(__file__).parents[2]
PACKAGE = "sparsebench.suites"


@functools.cache
def suites() -> Mapping[str, Suite]:
    """All suites by name: the folders of `suites/` that hold tasks, and those of other packages."""
    own = {name: importlib.import_module(f"{PACKAGE}.{name}.suite").SUITE for name in _own_suites()}
    return own | {name: about for name, (about, _) in _further_suites().suites.items()}


def place_of(suite: str) -> Place:
    """Where the files of a suite lie."""
    if suite in _further_suites().suites:
        return _further_suites().suites[suite][1]
    return Place(ROOT / suite, f"{PACKAGE}.{suite}")


def is_further(suite: str) -> bool:
    """Whether another package brings the suite."""
    return suite in _further_suites().suites


def further_places() -> list[Place]:
    """Where the suites of other packages lie."""
    return [place for _, place in _further_suites().suites.values()]


def register_suite(package: str) -> None:
    """Add a suite in this process and in the workers of its runs; an installed package has an entry point instead.

    Args:
        package: dotted name of the package of the suite, on the path: `suite.py`, whose `SUITE = Suite(...)` is of
            literals, and the folders `tasks`, `backbones`, `profiles` and `methods`. It is not imported. The same one
            may come again.

    Raises:
        UsageError: there is no such package, it is no suite, or another one has the name.

    Example::

        register_suite("gratings")
        from sparsebench.suites.runner.cli.app import main  # the commands, after it: `python bench.py gratings run`
        main()
    """
    register(package, {name: place_of(name) for name in suites()})
    for cached in (suites, _further_suites, entries, broken_plugins):
        cached.cache_clear()


@functools.cache
def _further_suites() -> FurtherSuites:
    return read_suites(_own_suites())


def _own_suites() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("*/tasks"))


def suite(name: str) -> Suite:
    """One suite. Raises `UsageError` for an unknown name."""
    if name not in suites():
        raise UsageError(f"unknown suite {name!r}{near(name, suites())}")
    return suites()[name]


@functools.cache
def entries(kind: Kind, suite: str = "") -> Mapping[str, Entry]:
    """All entries of a kind by name; tasks and backbones are those of one suite."""
    found = _by_name(_own_files(kind, suite))
    return found | read_plugins(kind, suite, found).entries


@functools.cache
def broken_plugins(kind: Kind, suite: str = "") -> Mapping[str, str]:
    """What installed packages bring of a kind and cannot be used, by name, with the reason in one line."""
    return read_plugins(kind, suite, _by_name(_own_files(kind, suite))).broken


def plugin_problems() -> list[str]:
    """One line for each thing that an installed package brings and that cannot be used."""
    from sparsebench.data.manifest import source_problems

    lines = [*_further_suites().broken.values(), *source_problems()]
    for kind in ("method", *PARTS):
        lines += broken_plugins(kind).values()
    for kind in ("task", "backbone"):
        lines += misplaced(kind, suites())
        for name in suites():
            lines += broken_plugins(kind, name).values()
    return lines


class Named(NamedTuple):
    """Something that `check` has a battery for."""

    kind: str
    name: str
    suite: str = ""
    """Of a task."""


def checkable() -> list[Named]:
    """All methods, parts of models, suites, tasks and data sources; nothing is imported."""
    from sparsebench.data.manifest import catalogue

    found = [Named(kind, name) for kind in ("method", *PARTS) for name in entries(kind)]
    for suite in suites():
        found.append(Named("suite", suite))
        found += [Named("task", name, suite) for name in entries("task", suite)]
    return [*found, *(Named("source", name) for name in catalogue())]


def called(name: str) -> list[Named]:
    """What has that name. Raises `UsageError` where nothing that `check` knows has it, or what has it is broken."""
    known = checkable()
    found = [named for named in known if named.name == name]
    if not found:
        for problem in plugin_problems():
            if f" {name!r} " in problem:
                raise UsageError(problem)
        raise UsageError(f"nothing that can be checked is called {name!r}{near(name, {named.name for named in known})}")
    return found


def methods_of(names: Iterable[str]) -> Mapping[str, Entry]:
    """The methods that some of these suites can have: all but those in the folders of other suites."""
    others = {f"{place_of(name).package}.methods" for name in suites().keys() - set(names)}
    return {name: entry for name, entry in entries("method").items() if entry.module.rpartition(".")[0] not in others}


def _by_name(files: Iterator[Entry]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for file in files:
        for entry in file.rows():
            if entry.name in found:
                raise UsageError(
                    f"{entry.path} and {found[entry.name].path} both define the {entry.kind} {entry.name!r}"
                )
            found[entry.name] = entry
    return found


def _own_files(kind: Kind, suite: str) -> Iterator[Entry]:
    if kind in PARTS:
        yield from built_in(kind)
        return
    found: list[Entry] = []
    for folder, package, companions in _places(kind, suite):
        for path in folder.glob("[!_]*.py"):
            found.append(Entry(kind, path.stem, f"{package}.{path.stem}", path, suite, companions=companions))
    yield from sorted(found, key=lambda entry: entry.name)


def _places(kind: Kind, suite: str) -> list[Place]:
    """Where the files of a kind lie: in the suite's folder of that kind and in its rooms.

    Methods lie in `methods/` too, and in its rooms.
    """
    places: list[Place] = []
    if kind == "method":
        places += _with_rooms(Place(ROOT / "methods", f"{PACKAGE}.methods"))
    for owner in suites() if kind == "method" else [suite]:
        places += _with_rooms(_inside(place_of(owner), f"{kind}s"))
    return places


def _with_rooms(place: Place) -> list[Place]:
    rooms = sorted(path.parent.name for path in place.folder.glob("*/__init__.py"))
    return [place, *(_inside(place, room) for room in rooms)]


def _inside(place: Place, folder: str) -> Place:
    return Place(place.folder / folder, f"{place.package}.{folder}", place.companions)


def find(kind: Kind, name: str, suite: str = "") -> Entry:
    """The entry called `name` (a backbone may carry an argument: `name:argument`). Raises `UsageError`."""
    known = entries(kind, suite)
    plain = name.partition(":")[0] if kind == "backbone" else name
    if plain not in known and plain in broken_plugins(kind, suite):
        raise UsageError(broken_plugins(kind, suite)[plain])
    if plain not in known:
        where = f" in suite {suite!r}" if suite else ""
        raise UsageError(f"unknown {kind} {plain!r}{where}{near(plain, known)}")
    return known[plain]
