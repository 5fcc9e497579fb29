"""How well generation keeps to a wanted property.

The JSON: `{"<property>": {"unit": str, "points": [[target, achieved, lower quartile, upper quartile], ...]}}`.
`achieved` is the mean or the median of what was measured on the molecules made for that target.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from ..figures import Figure, plots
from ..figures.plots import Aim
from ..records.record import RecordError
from .panel import Content, Entry, Panel, more

MAX_FIGURES = 6
MAX_LINES = 10
LEGEND = (
    "What was achieved against what was asked for: means or medians, bars from the lower to the upper quartile of the "
    "molecules; the lowest seed. Dashed: achieved equals target."
)


@dataclass(frozen=True)
class Control:
    """One property: its unit ("" for none) and a point per target, by rising target."""

    unit: str
    points: tuple[Aim, ...]


def to_details(controls: Mapping[str, Control]) -> dict[str, Any]:
    """As an entry of `Record.details`.

    Raises:
        RecordError: no points, a number that is not finite, quartiles the wrong way round.
    """
    entry = {}
    for name, control in controls.items():
        _check(name, control)
        entry[name] = {"unit": control.unit, "points": [list(astuple(aim)) for aim in control.points]}
    return {PANEL.key: entry}


class PropertyControlPanel(Panel[dict[str, Control]]):
    """A figure per task and property, with a line per row of the table."""

    key = "property_control"

    def parse(self, value: Any) -> dict[str, Control]:
        """Property to control."""
        controls = {}
        for name, entry in value.items():
            aims = [Aim(*map(float, point)) for point in entry["points"]]
            controls[name] = Control(entry["unit"], tuple(sorted(aims, key=lambda aim: aim.target)))
            _check(name, controls[name])
        return controls

    def show(self, entries: Sequence[Entry[dict[str, Control]]]) -> Content | None:
        """The figures by task and property."""
        lines: dict[tuple[str, str, str], list[tuple[str, tuple[Aim, ...]]]] = defaultdict(list)
        for entry in entries:
            for name, control in entry.value.items():
                lines[entry.task, name, control.unit].append((entry.title, control.points))
        if not lines:
            return None
        shown = sorted(lines.items())[:MAX_FIGURES]
        figures = tuple(_figure(*place, found[:MAX_LINES]) for place, found in shown)
        numbers = {entry.number for entry in entries if entry.value}
        said = more(len(numbers) - MAX_LINES, "rows have such lines")
        said += more(len(lines) - MAX_FIGURES, "pairs of task and property are not drawn")
        return Content("Property control", figures, legend=LEGEND + said)


def _figure(task: str, name: str, unit: str, lines: Sequence[tuple[str, tuple[Aim, ...]]]) -> Figure:
    title = f"{task}: {name}"
    return Figure(title, plots.targets(lines, f"{title}, achieved against target", unit))


def _check(name: str, control: Control) -> None:
    where = f"property control of {name!r}"
    if not isinstance(control.unit, str) or not control.points:
        raise RecordError(f"{where}: needs a unit (a text, may be empty) and at least one point")
    for aim in control.points:
        if not all(map(math.isfinite, astuple(aim))):
            raise RecordError(f"{where}: {aim} holds a number that is not finite")
        if aim.low > aim.high:
            raise RecordError(f"{where}: the lower quartile {aim.low} is above the upper one, {aim.high}")


PANEL = PropertyControlPanel()
