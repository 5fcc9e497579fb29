"""How well generation keeps to a wanted property, as a record keeps it in `details["property_control"]`.

The JSON: `{"<property>": {"unit": str, "points": [[target, achieved, lower quartile, upper quartile], ...]}}`.
`achieved` is the mean or the median of what was measured on the molecules made for that target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..figures.plots import Aim
from ..record import Record, RecordError

KEY = "property_control"


@dataclass(frozen=True)
class Control:
    """One property: its unit ("" for none) and a point per target, by rising target."""

    unit: str
    points: tuple[Aim, ...]


def to_details(controls: Mapping[str, Control]) -> dict[str, Any]:
    """As JSON values.

    Raises:
        RecordError: no points, a number that is not finite, quartiles the wrong way round.
    """
    for name, control in controls.items():
        _check(name, control)
    return {
        KEY: {name: {"unit": c.unit, "points": [_numbers(aim) for aim in c.points]} for name, c in controls.items()}
    }


def property_control(record: Record) -> dict[str, Control]:
    """The controls that a record holds by property, none if it holds none.

    Raises:
        RecordError: the entry has another form.
    """
    found = record.details.get(KEY, {})
    try:
        controls = {name: Control(entry["unit"], _aims(entry["points"])) for name, entry in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(f"record {record.id}: details[{KEY!r}] is not of its form: {error!r}") from error
    for name, control in controls.items():
        _check(name, control)
    return controls


def _aims(points: Sequence[Sequence[float]]) -> tuple[Aim, ...]:
    """Points in the order of their targets."""
    return tuple(sorted((Aim(*map(float, point)) for point in points), key=lambda aim: aim.target))


def _numbers(aim: Aim) -> list[float]:
    return [aim.target, aim.achieved, aim.low, aim.high]


def _check(name: str, control: Control) -> None:
    where = f"property control of {name!r}"
    if not isinstance(control.unit, str) or not control.points:
        raise RecordError(f"{where}: needs a unit (a text, may be empty) and at least one point")
    for aim in control.points:
        if not all(map(math.isfinite, _numbers(aim))):
            raise RecordError(f"{where}: {aim} holds a number that is not finite")
        if aim.low > aim.high:
            raise RecordError(f"{where}: the lower quartile {aim.low} is above the upper one, {aim.high}")
