"""Methods, tasks and backbones as objects; imports their modules, and torch with them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from sparsebench.reports.records.record import Link

from ...contracts.budget import DURATIONS, Budget
from ...contracts.method import Method
from ...contracts.task import Task
from ..errors import UsageError
from .entry import Entry
from .parts import Parts
from .validation import build

Base = TypeVar("Base")


def load_method(entry: Entry, config: Mapping[str, object]) -> Method:
    """The method with its config checked. Raises `UsageError` for an unknown key, a wrong type or candidates that
    cannot be.
    """
    method = build(load_class(entry, Method), config, f"method {entry.name!r}")
    try:
        method.choices()
    except ValueError as error:
        raise UsageError(f"method {entry.name!r}: {error}") from error
    return method


def load_class(entry: Entry, base: type[Base]) -> type[Base]:
    """The one class derived from `base` that the entry's module defines. Raises `UsageError` if it is not one."""
    module = entry.load()
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise UsageError(
            f"{entry.kind} {entry.name!r}: {entry.path.name} must define one {base.__name__}, not {len(classes)}"
        )
    return classes[0]


def load_task(entry: Entry) -> Task:
    """The task object, of a row of a table with the row's values."""
    kind = load_class(entry, Task)
    if entry.row is not None:
        return build(kind, entry.row_fields, f"task {entry.name!r}")
    make = cast(Callable[[], Task], kind)
    return make()


def backbone_loader(entry: Entry, name: str) -> functools.partial[Any]:
    """The backbone's own `load`, with the part of `name` behind the colon as its argument."""
    argument = name.partition(":")[2] or None
    return functools.partial(entry.load().load, argument=argument)


def check_argument(entry: Entry, name: str) -> None:
    """Refuse the backbone `name` where its file says NEEDS_ARGUMENT and no argument is there. Raises `UsageError`."""
    if entry.constant("NEEDS_ARGUMENT", False) and not name.partition(":")[2]:
        raise UsageError(
            f"backbone {entry.name!r} needs an argument, {entry.name}:...: see `sparsebench show {entry.name}`"
        )


class NoSmallerError(ValueError):
    """A backbone that names no smaller one to go beside it; the message is the reason."""


def smaller_backbone(entry: Entry, name: str) -> str:
    """The backbone that goes beside another one as the smaller of a pair, by `name[:argument]`.

    A backbone's file says it as a literal, `SMALLER = "name"`, which gets the same argument, or by a function
    `smaller(argument)`, which raises ValueError where there is none.

    Raises:
        NoSmallerError: the backbone has none.
    """
    _, colon, argument = name.partition(":")
    known = entry.constant("SMALLER", "")
    if known:
        return f"{known}{colon}{argument}"
    choose = getattr(entry.load(), "smaller", None)
    if choose is None:
        raise NoSmallerError(f"{name} names no smaller backbone to go beside it: say which")
    try:
        return f"{entry.name}:{choose(argument)}"
    except ValueError as error:
        raise NoSmallerError(str(error)) from error


class Loaded(NamedTuple):
    """The parts of a cell as objects."""

    chain: list[Method]
    task: Task
    loaders: dict[str, functools.partial[Any]]
    """What loads each backbone, by name; none of them has run."""


def load_parts(parts: Parts, links: Sequence[Link]) -> Loaded:
    """The parts of a cell, its methods with the configs of its links. Raises `UsageError`."""
    chain = [load_method(entry, link.config) for entry, link in zip(parts.methods, links, strict=True)]
    loaders = {name: backbone_loader(entry, name) for entry, name in parts.backbones}
    return Loaded(chain, load_task(parts.task), loaders)


def load_budget(*layers: Mapping[str, object]) -> Budget:
    """A budget from layers of overrides, the last one winning."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if any(unit in layer for unit in DURATIONS):
            for unit in DURATIONS:
                merged.pop(unit, None)  # a duration in another unit takes the place of the one before
        merged |= layer
    return build(Budget, merged, "budget")


def budget_fields(budget: Budget) -> dict[str, Any]:
    """The budget as a cell holds it: without a field that later versions added, where that has its default."""
    fields = dataclasses.asdict(budget)
    if budget.train_fraction == 1:
        del fields["train_fraction"]
    if not budget.calibration_domains:
        del fields["calibration_domains"]
    if not budget.watch:
        del fields["watch"]
    if budget.rest is None:
        del fields["rest"], fields["doublings"]
    for unit in DURATIONS:
        if fields[unit] is None:
            del fields[unit]
    return fields
