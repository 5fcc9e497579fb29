"""What two machines must have in common, so that a cell gives the same record on both.

One line for each thing that can differ, with its name first: the code behind the score and the runner around it, the
versions of libraries and of Python, switches, data sources and the weights that backbones name.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from sparsebench.data.cache import sha256_of
from sparsebench.data.identity import identity

from ..discovery.closure import HOME
from ..discovery.registry import suite
from .cell import Cell, digest
from .fingerprint import code_lines, costs_lines, source_tree, versions
from .weights import weights_identity

RUNNER_FILES = ("suites/runner/**/*.py", "reports/records/record.py", "reports/records/store.py")
"""What runs a cell and makes its record."""
NAME = re.compile(r"source [^=]+|weights \S+ [^=]+|[^\s=]+")
CHECKSUM = re.compile(r"[0-9a-f]{16,}")
SHOWN_DIFFERENCES = 3
LONGEST_VALUE = 24


def kind_of(cell: Cell) -> tuple[object, ...]:
    """Equal for cells that have the same lines: they differ in seed, settings or the order of their methods alone."""
    info = cell.info
    return info.suite, cell.code, cell.sources, info.backbone, tuple(info.further_backbones)


def identity_lines(cell: Cell) -> list[str]:
    """The lines of a cell on this machine. Raises `UsageError` where a method, task or backbone is not installed."""
    about = suite(cell.info.suite)
    lines = code_lines(cell.parts.entries, versions(about.libraries), cell.device, source_tree())
    lines += costs_lines(cell.parts.entries, source_tree())
    lines += [f"source {name}={identity(name)}" for name in cell.sources]
    for entry, name in cell.parts.backbones:
        weights = weights_identity(entry, name)
        lines += [f"weights {name} {file}={checksum}" for file, checksum in sorted(weights.items())]
    return lines + _around()


@functools.cache
def _around() -> list[str]:
    """The files that stand around a score."""
    lines = []
    for pattern in RUNNER_FILES:
        lines += [f"{path.relative_to(HOME)} {_short(path)}" for path in sorted(HOME.glob(pattern))]
    return lines


def _short(path: Path) -> str:
    return sha256_of(path)[:16]


def lines_digest(lines: Iterable[str]) -> str:
    """16 hex digits that are equal if the lines are."""
    return digest(list(lines))


def differences(here: Iterable[str], there: Iterable[str]) -> str:
    """What differs between two machines, for people: up to three names, with their values where these are short."""
    ours, theirs = set(here), set(there)
    only_here = _values(ours - theirs)
    only_there = _values(theirs - ours)
    names = sorted({*only_here, *only_there})
    shown = [_difference(name, only_here.get(name), only_there.get(name)) for name in names[:SHOWN_DIFFERENCES]]
    if len(names) > SHOWN_DIFFERENCES:
        shown.append(f"{len(names) - SHOWN_DIFFERENCES} more")
    return ", ".join(shown)


def _values(lines: Iterable[str]) -> dict[str, str]:
    """Values by name."""
    found = {}
    for line in lines:
        name = NAME.match(line)
        if name is not None:
            found[name.group()] = line[name.end() :].lstrip(" =")
    return found


def _difference(name: str, ours: str | None, theirs: str | None) -> str:
    if ours is None:
        return f"{name} (not here)"
    if theirs is None:
        return f"{name} (not there)"
    if max(len(ours), len(theirs)) > LONGEST_VALUE or CHECKSUM.fullmatch(ours):
        return name
    return f"{name} ({ours or 'nothing'} here, {theirs or 'nothing'} there)"
