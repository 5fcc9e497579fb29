"""What installed packages bring by entry point, read without running anything of them.

A package that cannot be read takes nothing else down: what it should have brought is kept with the reason.
"""

from collections.abc import Collection, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple

from sparsebench.models.registry import plural

from ..errors import UsageError, near
from .closure import TOP, Tree
from .entry import PARTS, Entry, Kind

IN_SUITES = ("task", "backbone")


class Plugins(NamedTuple):
    """The entries of a kind by name, and by name why others cannot be used."""

    entries: dict[str, Entry]
    broken: dict[str, str]


def read_plugins(kind: Kind, suite: str, built_in: Collection[str]) -> Plugins:
    """What packages bring of a kind; tasks and backbones are those of one suite. A built-in name is nobody else's."""
    found = Plugins({}, {})
    for point in entry_points(group=group(kind)):
        owner, _, name = point.name.rpartition(".")
        if kind in IN_SUITES and owner != suite:
            continue
        try:
            rows = _read(point, kind, name, suite)
        except UsageError as error:
            found.broken[name] = f"{_about(point, kind)}: {error}"
            continue
        for entry in rows:
            problem = _taken(entry, built_in, found)
            if problem:
                found.broken[f"{entry.name} of {point.value}"] = f"{_about(point, kind)}: {problem}"
            else:
                found.entries[entry.name] = entry
    return found


def _taken(entry: Entry, built_in: Collection[str], found: Plugins) -> str:
    if entry.name in built_in:
        return f"the name {entry.name!r} is built in"
    if entry.name in found.entries:
        return f"{found.entries[entry.name].module} brings {entry.name!r}, too"
    return ""


def _read(point: EntryPoint, kind: Kind, name: str, suite: str) -> list[Entry]:
    """The entries in a module, with all that is read of them while nothing is imported. Raises `UsageError`."""
    if kind in PARTS and not point.name.isidentifier():
        raise UsageError("a name has letters, digits and underscores only")
    file = Tree().file(point.value)
    if file is None:
        raise UsageError("there is no such module: reinstall that package")
    entry = Entry(kind, name, point.value, file, suite, companions=top_packages(point))
    try:
        rows = entry.rows()
        for row in rows:
            row.check()
    except UsageError:
        raise
    except Exception as error:  # a file of somebody else may hold anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"{file} cannot be read: {reason}") from error
    return rows


def _about(point: EntryPoint, kind: Kind) -> str:
    package = point.dist.name if point.dist is not None else "a package"
    return f"the {kind} {point.name!r} of {package} ({point.value}) cannot be used"


def misplaced(kind: Kind, suites: Collection[str]) -> Iterator[str]:
    """One line for each task or backbone that names no suite, or one that there is not."""
    for point in entry_points(group=group(kind)):
        owner = point.name.rpartition(".")[0]
        if not owner:
            yield f"{_about(point, kind)}: its name must begin with a suite: {' or '.join(suites)}"
        elif owner not in suites:
            yield f"{_about(point, kind)}: there is no suite {owner!r}{near(owner, suites)}"


def group(kind: Kind) -> str:
    """The entry-point group of a kind."""
    return f"{TOP}.{plural(kind)}"


def top_packages(point: EntryPoint) -> tuple[str, ...]:
    """The top-level packages of the distribution that names this entry point, that of its module at least."""
    found = {point.value.partition(".")[0]}
    if point.dist is not None:
        found |= set((point.dist.read_text("top_level.txt") or "").split())
        for path in point.dist.files or ():
            if path.suffix == ".py" and ".." not in path.parts:
                found.add(path.parts[0].removesuffix(".py"))
    return tuple(sorted(found - {TOP}))
