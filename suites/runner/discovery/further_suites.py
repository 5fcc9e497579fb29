"""Suites of other packages, by entry point or registered in this process, read without importing anything.

    [project.entry-points."sparsebench.suites"]
    audio = "my_package.audio"

`registry.register_suite("my_package.audio")` does the same for one process. The package has `suite.py`, whose
`SUITE = Suite(...)` holds nothing but literals, and folders `tasks`, `backbones`, `profiles` and `methods` with the
files that those of our own suites have.
"""

import ast
from collections.abc import Collection, Mapping
from importlib.metadata import entry_points
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


_registered: dict[str, str] = {}


def registered() -> tuple[str, ...]:
    """The packages that were registered in this process, in that order."""
    return tuple(_registered.values())


def register(package: str, taken: Mapping[str, Place]) -> None:
    """Note a package for `read_suites`.

    Args:
        package: its dotted name; it is found as an import would find it, but not imported.
        taken: the suites that there are, and where they lie.

    Raises:
        UsageError: it has no suite that can be used, or the name is that of another one.
    """
    try:
        name = _read(package).name
        if name in taken and taken[name].package != package:
            raise UsageError(f"the name {name!r} is taken: {taken[name].package} has it")
    except UsageError as error:
        raise UsageError(f"the package {package!r} cannot be used as a suite: {error}") from None
    if name not in taken:
        _registered[name] = package


def read_suites(built_in: Collection[str]) -> FurtherSuites:
    """The suites that were registered and that packages bring; a built-in name is nobody else's."""
    found = FurtherSuites({}, {})
    for name, package in _registered.items():
        try:
            found.suites[name] = (_read(package), _place(package, ()))
        except UsageError as error:  # its files have changed since
            found.broken[name] = f"the suite {name!r} ({package}) cannot be used: {error}"
    for point in entry_points(group=GROUP):
        try:
            if point.name in built_in or point.name in found.suites:
                raise UsageError(f"the name {point.name!r} is taken")
            about = _read(point.value)
            if about.name != point.name:
                raise UsageError(f"its suite.py calls it {about.name!r}")
            found.suites[point.name] = (about, _place(point.value, top_packages(point)))
        except UsageError as error:
            found.broken[point.name] = f"the suite {point.name!r} ({point.value}) cannot be used: {error}"
    return found


def _read(package: str) -> Suite:
    """What the package says of its suite. Raises `UsageError`."""
    folder = _folder(package)
    about = _about(folder / "suite.py")
    if not about.name.isidentifier():
        raise UsageError(f"the name {about.name!r} has more than letters, digits and underscores")
    if not (folder / "tasks").is_dir():
        raise UsageError("it has no folder of tasks")
    return about


def _folder(package: str) -> Path:
    file = Tree().file(package)
    if file is None or file.name != "__init__.py":
        raise UsageError("there is no such package: reinstall it")
    return file.parent


def _place(package: str, companions: tuple[str, ...]) -> Place:
    return Place(_folder(package), package, companions or (package.partition(".")[0],))


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
