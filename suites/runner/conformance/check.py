"""`sparsebench check`: the battery of each kind, run on what has a name."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import transformers
from rich.console import Console

from ..discovery.registry import Named
from . import adapters, parts, sources, suites, tasks
from .methods import check_method, report


class Battery(NamedTuple):
    """What is printed before each rule, and the rules by name."""

    what: str
    rules: Sequence[tuple[str, Callable[[], str | None]]]


def battery(named: Named) -> Battery:
    """The rules for something that is no method."""
    what = f"{named.kind} {named.name}"
    if named.kind == "task":
        return Battery(f"{what} of {named.suite}", list(_rules(tasks.BATTERY, named)))
    return Battery(what, list(_by_name(named)))


def _by_name(named: Named) -> Iterator[tuple[str, Callable[[], str | None]]]:
    of_kind = {"adapter": adapters.BATTERY, "source": sources.BATTERY, "suite": suites.BATTERY}
    if named.kind in of_kind:
        yield from _rules(of_kind[named.kind], named.name)
        return
    for rule, run in parts.BATTERIES[named.kind]:
        yield rule, functools.partial(run, named.name)


def _rules(
    rules: Sequence[Callable[..., str | None]], argument: object
) -> Iterator[tuple[str, Callable[[], str | None]]]:
    for rule in rules:
        yield rule.__name__, functools.partial(rule, argument)


def check(found: Sequence[Named], console: Console) -> int:
    """Run the battery of each and print a line for each rule; 0 if all conform, else 1."""
    transformers.utils.logging.disable_progress_bar()  # type: ignore[attr-defined]
    failures = 0
    for named in found:
        if named.kind == "method":
            failures += check_method(named.name, console)
            continue
        what, rules = battery(named)
        for rule, run in rules:
            failures += report(what, rule, run, console)
    console.print("all conform" if not failures else f"{failures} rules broken")
    return int(failures > 0)
