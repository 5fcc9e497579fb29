"""Values that the shell completes: read from files, without torch, and none where something is wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sparsebench.reports.records.store import StoreError

from ..discovery.registry import Entry, entries, methods_of, suites
from ..errors import UsageError

if TYPE_CHECKING:
    from ..planning.rows import Row

Values = list[tuple[str, str]]
"""Each with what it is."""
Completer = Callable[[typer.Context, str], Values]


def _completes(values: Callable[[typer.Context], Iterable[tuple[str, str]]]) -> Completer:
    """A function for typer: those of the values that begin as the word does."""

    @functools.wraps(values)
    def complete(context: typer.Context, incomplete: str) -> Values:
        try:
            found = dict(values(context))
            return [(name, text) for name, text in found.items() if name.startswith(incomplete)]
        except (UsageError, StoreError, OSError):  # a broken profile or plug-in: the command itself will say so
            return []

    # Typer looks at the parameters to see what to pass.
    del complete.__wrapped__  # type: ignore[attr-defined]
    complete.__annotations__ = {"context": typer.Context, "incomplete": str}
    return complete


def _captions(found: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    for entry in found:
        yield entry.name, entry.caption


def _suites_of(context: typer.Context) -> list[str]:
    """The suites that are meant so far: of `sparsebench <suite> ...`, of --suite, or all."""
    named: list[str] = list(context.params.get("suite") or [])
    parent = context.parent
    if parent is not None and parent.info_name in suites():
        named.append(str(parent.info_name))
    return [name for name in named if name in suites()] or list(suites())


@_completes
def suite_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Suites."""
    for name, about in suites().items():
        yield name, about.title


@_completes
def profile_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Built-in profiles, and the YAML files of this folder."""
    from ..planning.profile import built_in

    for name, owners in built_in().items():
        yield name, f"built in, for {', '.join(owners)}"
    for path in sorted(Path().glob("*.y*ml")):
        yield path.name, "a profile of yours"


def _rows(context: typer.Context) -> Iterator[tuple[str, Row]]:
    """The rows of the profile that is meant so far, each with its suite."""
    from ..planning.profile import load_profile

    for plan in load_profile(context.params.get("profile") or "quick", _suites_of(context)).plans:
        for row in plan.methods:
            yield plan.suite, row


@_completes
def row_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Methods that the suites that are meant can have, and rows of the profile."""
    yield from _captions(methods_of(_suites_of(context)).values())
    for suite, row in _rows(context):
        if row.label not in entries("method"):
            yield row.label, f"row of {suite}"


@_completes
def method_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Methods."""
    yield from _captions(entries("method").values())


@_completes
def task_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Tasks of the suites that are meant."""
    for suite in _suites_of(context):
        yield from _captions(entries("task", suite).values())


@_completes
def backbone_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Backbones of the suites that are meant."""
    for suite in _suites_of(context):
        yield from _captions(entries("backbone", suite).values())


@_completes
def known_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """All that `show` knows."""
    from sparsebench.data.sources import catalogue

    yield from _captions(entries("method").values())
    for suite, about in suites().items():
        yield suite, about.title
        yield from _captions(entries("task", suite).values())
        yield from _captions(entries("backbone", suite).values())
    for name in catalogue():
        yield name, "data source"


@_completes
def setting_keys(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Keys of `--set`, up to the sign of equality."""
    from ..discovery.options import budget_options, options_of
    from ..planning.overrides import SUITE_KEYS

    for name in SUITE_KEYS:
        yield f"{name}=", "of the profile"
    for name, option in budget_options().items():
        yield f"budget.{name}=", option.text
    methods = {link.method for _, row in _rows(context) for link in row.chain}
    for method in sorted(methods & entries("method").keys()):
        for name, option in options_of(entries("method")[method]).items():
            yield f"{method}.{name}=", option.text
            yield f"method.{name}=", option.text


@_completes
def labels(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Rows that the result folder has records of."""
    from sparsebench.reports.records.index.database import Index
    from sparsebench.reports.records.store import Store

    with Index(Store(Path(context.params["folder"])).open()) as index:
        for label in sorted({entry.label for entry in index.entries}):
            yield label, "row"


@_completes
def dtype_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Precisions."""
    from ..planning.profile import PLANNED_DTYPES

    for name in PLANNED_DTYPES:
        yield name, "precision"


@_completes
def device_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Devices."""
    from ..identity.device import device_count

    yield "auto", "CUDA where this machine has it"
    yield "cpu", "processor"
    yield "cuda", "the first accelerator"
    for number in range(device_count()):
        yield f"cuda:{number}", "one accelerator"


@_completes
def tracker_names(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Trackers."""
    from ..trackers import TRACKERS

    for name in TRACKERS:
        yield name, "tracker"
