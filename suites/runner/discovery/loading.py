"""Methods, tasks and backbones as objects; imports their modules, and torch with them."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from ...contracts.budget import DURATIONS, Budget
from ...contracts.method import Method
from ...contracts.task import Task
from .registry import Entry, load_class
from .validation import build


def load_method(entry: Entry, config: Mapping[str, Any]) -> Method:
    """The method with its config checked. Raises `UsageError` for an unknown key or a wrong type."""
    return build(load_class(entry, Method), config, f"method {entry.name!r}")


def load_task(entry: Entry) -> Task:
    """The task object, of a row of a table with the row's values."""
    kind = load_class(entry, Task)
    return kind() if entry.row is None else build(kind, entry.row_fields, f"task {entry.name!r}")


def backbone_loader(entry: Entry, name: str) -> functools.partial[Any]:
    """The backbone's own `load`, with the part of `name` behind the colon as its argument."""
    argument = name.partition(":")[2] or None
    return functools.partial(entry.load().load, argument=argument)


def load_budget(*layers: Mapping[str, Any]) -> Budget:
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
    for unit in DURATIONS:
        if fields[unit] is None:
            del fields[unit]
    return fields
