"""Charts as Vega-Lite 6 specifications: JSON without colours of text or ground, which the page or a notebook gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any, Generic, TypeVar

from . import Spec

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
MAX_MARKS = 24
"""Rows that are drawn in one figure; the table has them all."""
LINE_HEIGHT = 22
"""Points that a row takes."""
LABEL = 26
"""Letters of a line of a label that a phone has room for beside its chart."""
FASTER = "#009E73"
SLOWER = "#D55E00"
MARK = "#3182BD"
"""Okabe and Ito's green and red, and a blue, which stand out on light and on dark ground."""
DASHES = [4, 3]
EVEN = "#808080"
Value = TypeVar("Value")
Mark = dict[str, Any]
"""One row in a figure: its name, where it stands, the ends of its interval, its cost."""


@dataclass(frozen=True)
class Entry(Generic[Value]):
    """What one row of the table (its number and name) has on one task."""

    number: int
    name: str
    task: str
    value: Value

    @property
    def title(self) -> str:
        """Number and name, as figures and the words under them have it."""
        return f"{self.number}  {self.name}"

    def mark(self, value: float, sides: tuple[float, float] | None = None, cost: float = 0.0) -> Mark:
        """Where the row stands in a figure; `sides`: how far its interval reaches below and above, if known."""
        below, above = sides or (0.0, 0.0)
        return {"name": self.title, "value": value, "low": value - below, "high": value + above, "cost": cost}


@dataclass(frozen=True)
class Aim:
    """What was wanted and what came out: the mean or median, and the quartiles."""

    target: float
    achieved: float
    low: float
    high: float


def chart(title: str, **parts: Any) -> Spec:
    """A specification as wide as its place, with its title for those who hear the page."""
    return {"$schema": SCHEMA, "description": title, "width": "container", **parts}


def composed(title: str, **parts: Any) -> Spec:
    """A specification of several charts, which have widths of their own."""
    return {"$schema": SCHEMA, "description": title, **parts}


def quantity(field: str, title: str, zero: bool = False, **options: Any) -> dict[str, Any]:
    """A channel of numbers, by default not from zero on: differences are what is looked at."""
    scale = {"zero": zero, **options.pop("scale", {})}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, **options}


def names(**options: Any) -> dict[str, Any]:
    """The channel of rows, in the order of the data."""
    axis = {"ticks": False, "domain": False}
    return {"field": "name", "type": "nominal", "title": None, "sort": None, "axis": axis, **options}


def layer(kind: str, encoding: Mapping[str, Any], transform: Sequence[Any] = (), **mark: Any) -> dict[str, Any]:
    """A layer of marks of one kind.

    Args:
        kind: of the marks.
        encoding: channel to field.
        transform: of the data, for this layer alone.
        mark: how the marks look.
    """
    made = {"mark": {"type": kind, **mark}, "encoding": encoding}
    return made | {"transform": list(transform)} if transform else made


def level(value: float, channel: str = "x") -> dict[str, Any]:
    """A dashed line at one value."""
    drawn = layer("rule", {channel: {"field": "at", "type": "quantitative"}}, strokeDash=DASHES, color=EVEN)
    return drawn | {"data": {"values": [{"at": value}]}}


def steps(x: Mapping[str, Any], y: Mapping[str, Any], higher_is_better: bool, *also: Any) -> dict[str, Any]:
    """The Pareto front of quality (`y`) against cost (`x`) as a stepped line, of the rows that fulfil `also`."""
    transform = [*also, *front(x["field"], y["field"], higher_is_better)]
    return layer("line", {"x": x, "y": y}, transform, interpolate="step-after", strokeDash=DASHES, color=EVEN)


def front(cost: str, value: str, higher_is_better: bool) -> list[dict[str, Any]]:
    """Transforms to the rows that none beats in quality at the same or a lower cost.

    Args:
        cost: the field of the cost.
        value: that of the quality.
        higher_is_better: of the quality.
    """
    best, order = ("max", "descending") if higher_is_better else ("min", "ascending")
    sort = [{"field": cost}, {"field": value, "order": order}]
    window = [{"op": best, "field": value, "as": "front"}]
    return [
        {"window": window, "sort": sort, "frame": [None, 0]},
        {"filter": f"datum['{value}'] == datum.front"},
    ]


def tradeoff(marks: Sequence[Mark], title: str, cost_label: str, value_label: str, higher_is_better: bool) -> Spec:
    """Quality against one cost, with the Pareto front as a stepped line."""
    marks = [mark for mark in marks if mark["cost"] > 0][:MAX_MARKS]
    costs = [mark["cost"] for mark in marks]
    log = bool(marks) and max(costs) > 5 * min(costs)
    x = quantity("cost", cost_label, scale={"type": "log" if log else "linear"})
    y = quantity("value", value_label)
    marked = {"x": x, "y": y, "tooltip": _tooltip("name", "value", "cost")}
    points = layer("point", marked, filled=True, size=70, color=MARK, tooltip=True)
    layers = [steps(x, y, higher_is_better), points]
    return chart(title, height=220, data={"values": marks}, layer=layers)


def bars(marks: Sequence[Mark], title: str, value_label: str, chance: float | None = None) -> Spec:
    """One task: a horizontal bar from zero per method, with its interval; the dashed line is chance."""
    y = names()
    bar = {"x": quantity("value", value_label, zero=True), "y": y, "tooltip": _tooltip("name", "value")}
    interval = {"x": quantity("low", value_label, zero=True), "x2": {"field": "high"}, "y": y}
    layers = [layer("bar", bar, color=MARK, height={"band": 0.6}), layer("rule", interval, color=EVEN, strokeWidth=2)]
    if chance is not None:
        layers.append(level(chance))
    return chart(title, height={"step": LINE_HEIGHT}, data={"values": list(marks[:MAX_MARKS])}, layer=layers)


def curves(lines: Sequence[tuple[str, Sequence[tuple[float, float]]]], title: str, value_label: str) -> Spec:
    """Curves with their names; a label "y by x" says what the axes are."""
    value_label, _, step_label = value_label.partition(" by ")
    values = []
    for name, points in lines:
        values += [{"name": name, "step": step, "value": value} for step, value in points]
    encoding = {
        "x": quantity("step", step_label or "step"),
        "y": quantity("value", value_label),
        "color": by_name(),
        "tooltip": _tooltip("name", "step", "value"),
    }
    return chart(title, height=200, data={"values": values}, mark={"type": "line", "point": True}, encoding=encoding)


def thinned(items: Sequence[Value], most: int) -> list[Value]:
    """At most so many of the items, evenly spaced, both ends among them."""
    import numpy as np

    places = np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)
    return [items[place] for place in places]


def targets(lines: Sequence[tuple[str, Sequence[Aim]]], title: str, unit: str) -> Spec:
    """Achieved against wanted, one line per row with its quartiles as rules; on the dashed line they are equal."""
    values = []
    for name, aims in lines:
        values += [{"name": name, **asdict(aim)} for aim in aims]
    wanted = [value["target"] for value in values]
    ends = [{"target": at, "achieved": at} for at in (min(wanted, default=0.0), max(wanted, default=1.0))]
    x = quantity("target", f"target ({unit})" if unit else "target")
    y_title = f"achieved ({unit})" if unit else "achieved"
    y = quantity("achieved", y_title)
    quartiles = {"x": x, "y": quantity("low", y_title), "y2": {"field": "high"}, "color": by_name()}
    reached = {"x": x, "y": y, "color": by_name(), "tooltip": _tooltip("name", "target", "achieved")}
    layers = [
        layer("line", {"x": x, "y": y}, strokeDash=DASHES, color=EVEN) | {"data": {"values": ends}},
        layer("rule", quartiles, opacity=0.6),
        layer("line", reached, point=True),
    ]
    return chart(title, height=220, data={"values": values}, layer=layers)


def speed_ratios(lines: Sequence[tuple[str, float]], title: str) -> Spec:
    """How many times as fast as the peer, on a logarithmic axis; the line at 1 is the peer. Long names are wrapped."""
    values = []
    most = 1
    for name, ratio in lines:
        wrapped = wrap(name, LABEL)
        most = max(most, len(wrapped))
        values.append({"name": "\n".join(wrapped), "one": 1, "ratio": ratio, "faster": ratio >= 1})
    colours = {"domain": [True, False], "range": [FASTER, SLOWER]}
    encoding = {
        "x": quantity("ratio", "times as fast as the peer", scale={"type": "log"}),
        "x2": {"field": "one"},
        "y": names(axis={"ticks": False, "domain": False, "labelExpr": r"split(datum.label, '\n')"}),
        "color": {"field": "faster", "type": "nominal", "legend": None, "scale": colours},
        "tooltip": _tooltip("name", "ratio"),
    }
    height = {"step": LINE_HEIGHT + 12 * (most - 1)}
    layers = [layer("bar", encoding, height={"band": 0.6}), level(1)]
    return chart(title, height=height, data={"values": values}, layer=layers)


def heat_maps(
    panels: Mapping[str, Sequence[Sequence[float]]], layers: Sequence[int], title: str, *, down: str = "layer"
) -> Spec:
    """One panel per domain: layer (or what `down` says) down, expert across, colour the load against an even one (1),
    cut at 2."""
    values = []
    for name, rows in panels.items():
        for layer, row in zip(layers, rows, strict=True):
            for expert, fraction in enumerate(row):
                values.append({"domain": name, "down": layer, "expert": expert, "load": round(fraction * len(row), 3)})
    scale = {"scheme": "purpleorange", "domain": [0, 2], "clamp": True}
    encoding = {
        "x": {"field": "expert", "type": "ordinal", "title": "expert", "axis": {"labelOverlap": True, "labelAngle": 0}},
        "y": {"field": "down", "type": "ordinal", "title": down, "axis": {"labelOverlap": True}},
        "color": {"field": "load", "type": "quantitative", "title": "÷ even", "scale": scale},
        "tooltip": _tooltip("domain", "down", "expert", "load"),
    }
    facet = {"field": "domain", "type": "nominal", "title": None, "sort": None}
    inner = {"width": 110, "height": 110, "mark": "rect", "encoding": encoding}
    # Facets cannot be as wide as their place: two beside each other fit on a phone.
    return composed(title, data={"values": values}, facet=facet, columns=2, spec=inner)


def by_name() -> dict[str, Any]:
    """The colour of a row, of twenty."""
    legend = {"orient": "bottom", "columns": 1, "labelLimit": 280, "title": None}
    return {"field": "name", "type": "nominal", "sort": None, "legend": legend, "scale": {"scheme": "tableau20"}}


def _tooltip(*fields: str) -> list[dict[str, str]]:
    return [{"field": field} for field in fields]
