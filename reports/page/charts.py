"""The charts of the page as Vega-Lite specifications: effects against the baseline, quality against cost.

The page gives them other rows (filtered, sorted) and axes; the marks, scales and colours are those of here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..figures import Spec
from ..figures.plots import LINE_HEIGHT, by_name, chart, layer, level, names, quantity, steps

Values = Sequence[Mapping[str, Any]]
KINDS = {
    "better": ("#008C66", "circle"),
    "worse": ("#D55E00", "square"),
    "equivalent": ("#3182BD", "diamond"),
    "identical": ("#3182BD", "diamond"),
    "undecided": ("#85888C", "triangle-up"),
    "one seed": ("#85888C", "triangle-right"),
    "not comparable": ("#85888C", "triangle-left"),
    "baseline": ("#85888C", "cross"),
    "control": ("#A6761D", "triangle-down"),
    "ceiling": ("#7B5FC7", "triangle-down"),
}
"""Outcome or role to colour and form, so that neither alone carries it; both stand out on light and on dark ground."""
SMALL_HEIGHT = 110
BAND = {"opacity": 0.12, "color": "#3182BD"}
RIVALS = {"filter": "datum.role == 'method' || datum.role == 'baseline'"}
OTHERS = {"filter": "datum.role == 'control' || datum.role == 'ceiling'"}


def forest(values: Values, axis: str, margin: float | None = None, small: bool = False) -> Spec:
    """Effects against the baseline with their intervals, in the order of the values.

    Args:
        values: a row each: `name`, `role`, `effect`, `low`, `high`, `kind` (role or outcome), `text`.
        axis: what the axis says; better lies to the right.
        margin: what counts as no difference: a band around the baseline.
        small: without names and axis titles, for a row of such charts, and with the values in the specification; a
            large one is given them in the page, as its data set "rows".

    Returns:
        The baseline is the dashed line at 0; controls and ceilings are lines of their own colour.
    """
    rows = names(axis=None) if small else names()
    x = quantity("effect", axis, axis={"tickCount": 4, "title": None if small else axis})
    hover = [{"field": "name", "title": "row"}, {"field": "text", "title": "effect"}, {"field": "kind"}]
    colour = _kind(0, () if small else values)
    band = layer("rect", {"x": {"field": "from", "type": "quantitative"}, "x2": {"field": "to"}}, **BAND)
    layers = [band | {"data": {"values": [{"from": -margin, "to": margin}]}}] if margin else []
    dot = {"y": rows, "x": x, "color": colour, "shape": _kind(1, () if small else values), "tooltip": hover}
    interval = {"y": rows, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": colour}
    layers += [
        level(0),
        layer("rule", {"x": x, "color": colour, "tooltip": hover}, [OTHERS], strokeWidth=1.5, strokeDash=[2, 2]),
        layer("rule", interval, [RIVALS], strokeWidth=1.5),
        layer("point", dot, [RIVALS], filled=True, opacity=1, size=30 if small else 60),
    ]
    height: Any = SMALL_HEIGHT if small else {"step": 20}
    rows_data = {"name": "rows", "values": list(values) if small else []}
    return chart(axis, height=height, data=rows_data, layer=layers)


def scatter(higher_is_better: bool) -> Spec:
    """Quality against cost, with the Pareto front of baselines and methods.

    The values of its data set "rows": `name`, `role`, `kind`, cost `x` and quality `y`. The page has the titles.

    Args:
        higher_is_better: of the quality.

    Returns:
        The front is made of the rows that none beats at the same or a lower cost; controls and ceilings have no part.
    """
    across = quantity("x", "{x}", scale={"type": "linear"}, axis={"format": "~s", "tickCount": 5})
    up = quantity("y", "{y}")
    hover = [{"field": "name", "title": "row"}, {"field": "kind"}]
    hover += [{"field": "y", "title": "{y}"}, {"field": "x", "title": "{x}"}]
    marks = {"x": across, "y": up, "color": _kind(0), "shape": _kind(1), "tooltip": hover}
    points = layer("point", marks, filled=True, opacity=1, size=70, cursor="pointer")
    layers = [steps(across, up, higher_is_better, RIVALS), points]
    known = {"filter": "isValid(datum['x']) && isValid(datum['y'])"}
    data = {"name": "rows", "values": []}
    return chart("{y} against {x}", height=260, data=data, transform=[known], layer=layers)


def seeds() -> Spec:
    """The score of each seed, a line for each row, for the values of its data set "rows": `name`, `seed`, `value`."""
    hover = [{"field": "name"}, {"field": "seed"}, {"field": "value"}]
    encoding = {"y": names(), "x": quantity("value", "{x}"), "tooltip": hover}
    point = {"type": "point", "filled": True, "size": 70, "opacity": 0.8}
    data = {"name": "rows", "values": []}
    return chart("Score of each seed", height={"step": LINE_HEIGHT}, data=data, mark=point, encoding=encoding)


def curve() -> Spec:
    """A curve of a training, a line for each row, for the values of its data set "rows": `name`, `step`, `value`."""
    encoding = {"x": quantity("step", "{x}"), "y": quantity("value", "{y}"), "color": by_name()}
    line = {"type": "line", "point": {"size": 12}}
    return chart("Curve", height=160, data={"name": "rows", "values": []}, mark=line, encoding=encoding)


def _kind(channel: int, values: Values = ()) -> dict[str, Any]:
    """Colour (0) or form (1); the legend names what occurs among the values, none without values."""
    legend = None
    if values:
        found = {value["kind"] for value in values}
        legend = {"orient": "top", "title": None, "values": [kind for kind in KINDS if kind in found]}
    scale = {"domain": list(KINDS), "range": [marks[channel] for marks in KINDS.values()]}
    return {"field": "kind", "type": "nominal", "legend": legend, "scale": scale}
