"""Suites of other packages: entry points in the group `sparsebench.suites`, read without importing anything.

    [project.entry-points."sparsebench.suites"]
    audio = "my_package.audio"

The package has `suite.py`, whose `SUITE = Suite(...)` holds nothing but literals, and folders `tasks`, `backbones`,
`profiles` and `methods` with the files that those of our own suites have.
"""

import ast
from collections.abc import Collection
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from ...contracts.suite import Suite
from ..errors import UsageError
from .closure import TOP, Tree
from .entry import NO_LITERAL
from .plugins import top_packages

GROUP = f"{TOP}.suites"


class Place(NamedTuple):
    """Where files of a suite lie: their folder, the package that it is, and whose modules are followed with them."""

    folder: Path
    package: str
    companions: tuple[str, ...] = ()


class FurtherSuites(NamedTuple):
    """What suites say of themselves and where they lie, by name; and by name why others cannot be used."""

    suites: dict[str, tuple[Suite, Place]]
    broken: dict[str, str]


def read_suites(built_in: Collection[str]) -> FurtherSuites:
    """The suites that packages bring; a built-in name is nobody else's."""
    found = FurtherSuites({}, {})
    for point in entry_points(group=GROUP):
        try:
            if point.name in built_in or point.name in found.suites:
                raise UsageError(f"the name {point.name!r} is taken")
            found.suites[point.name] = _read(point)
        except UsageError as error:
            found.broken[point.name] = f"the suite {point.name!r} ({point.value}) cannot be used: {error}"
    return found


def _read(point: EntryPoint) -> tuple[Suite, Place]:
    file = Tree().file(point.value)
    if file is None or file.name != "__init__.py":
        raise UsageError("there is no such package: reinstall it")
    about = _about(file.parent / "suite.py")
    if about.name != point.name:
        raise UsageError(f"its suite.py calls it {about.name!r}")
    if not (file.parent / "tasks").is_dir():
        raise UsageError("it has no folder of tasks")
    return about, Place(file.parent, point.value, top_packages(point))


def _about(file: Path) -> Suite:
    """The `SUITE` of a file. Raises `UsageError` for a file that has none of literals alone."""
    try:
        statements = ast.parse(file.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {type(error).__name__}") from error
    for statement in statements:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "SUITE":
            fields = {str(word.arg): _literal(file, word) for word in getattr(statement.value, "keywords", ())}
            try:
                return Suite(**fields)
            except TypeError as error:
                raise UsageError(f"{file}: {error}") from error
    raise UsageError(f"{file} has no SUITE = Suite(...)")


def _literal(file: Path, word: ast.keyword) -> Any:
    try:
        return ast.literal_eval(word.value)
    except NO_LITERAL as error:
        raise UsageError(f"{file}: {word.arg} of SUITE must be a literal: nothing is imported to list it") from error
