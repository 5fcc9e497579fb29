"""Values that the shell completes: read from files, without torch, and none where something is wrong."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from sparsebench.reports.records.store_errors import StoreError

from ..discovery.registry import checkable, entries, methods_of, suites
from ..errors import UsageError


def _completes(values: Callable[[typer.Context], Iterator[str]]) -> Callable[[typer.Context, str], list[str]]:
    """A function for typer: those of the values that begin as the word does."""

    @functools.wraps(values)
    def complete(context: typer.Context, incomplete: str) -> list[str]:
        try:
            return [name for name in dict.fromkeys(values(context)) if name.startswith(incomplete)]
        except (UsageError, StoreError, OSError):  # a broken profile or plug-in: the command itself will say so
            return []

    # Typer looks at the parameters to see what to pass.
    del complete.__wrapped__  # type: ignore[attr-defined]
    complete.__annotations__ = {"context": typer.Context, "incomplete": str}
    return complete


def _suites_of(context: typer.Context) -> list[str]:
    """The suites that are meant so far: of `sparsebench <suite> ...`, of --suite, or all."""
    named: list[str] = list(context.params.get("suite") or [])
    if context.parent is not None:
        named.append(str(context.parent.info_name))
    return [name for name in named if name in suites()] or list(suites())


@_completes
def suite_names(context: typer.Context) -> Iterator[str]:
    """Suites."""
    yield from suites()


@_completes
def kind_names(context: typer.Context) -> Iterator[str]:
    """What can be listed by itself."""
    from ..show.listing import KINDS

    yield from KINDS


@_completes
def template_names(context: typer.Context) -> Iterator[str]:
    """What `new` writes."""
    from ..new.writing import KINDS

    yield from KINDS


@_completes
def checked_names(context: typer.Context) -> Iterator[str]:
    """All that has a battery."""
    yield from (named.name for named in checkable())


@_completes
def profile_names(context: typer.Context) -> Iterator[str]:
    """Built-in profiles, and the YAML files of this folder."""
    from ..planning.profile import built_in

    yield from built_in()
    yield from sorted(path.name for path in Path().glob("*.y*ml"))


@_completes
def row_names(context: typer.Context) -> Iterator[str]:
    """Methods that the suites that are meant can have, and rows of the profile."""
    from ..planning.profile import load_profile

    yield from methods_of(_suites_of(context))
    for plan in load_profile(context.params.get("profile") or "quick", _suites_of(context)).plans:
        yield from (row.label for row in plan.methods)


@_completes
def task_names(context: typer.Context) -> Iterator[str]:
    """Tasks of the suites that are meant."""
    for suite in _suites_of(context):
        yield from entries("task", suite)


@_completes
def speed_cell_names(context: typer.Context) -> Iterator[str]:
    """Speed cells."""
    from ..speed import speed_cells

    yield from speed_cells()
