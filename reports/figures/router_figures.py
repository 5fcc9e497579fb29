"""Figures of how the routers of a suite's rows share the work, with the words under them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..routers.health import BALANCE, CERTAINTY, CLEAN, CV2, START, RouterHealth, Spread, mean_over_layers, place_of
from ..tables import formatting
from . import Figure, Spec, Words, plots
from .plots import Entry

MAX_CURVES = 2
"""Tasks whose curves over training are drawn."""
MAX_LINES = 10
LAYERS_WIDTH = 260
"""Points: charts above each other cannot be as wide as their place."""
Curve = Sequence[tuple[float, float]]
CURVES = {
    CERTAINTY: "entropy ÷ greatest",
    CLEAN: "agreement with the clean choice",
    START: "agreement with the start",
    CV2: "CV² of the load",
    BALANCE: "balance loss",
}
"""The curves of routers that are drawn over training, and what their axes say."""


@dataclass(frozen=True)
class Seen:
    """What a record says: None for what it does not. `fraction` is that of the machine's product rate."""

    health: RouterHealth | None
    trained: bool
    tokens_per_second: float | None
    fraction: float | None
    curves: Mapping[str, Curve]


Line = Entry[Seen]
"""One model; its name has the task where it was trained for it."""


def overview(routed: Sequence[Line], lines: Sequence[Line]) -> Figure:
    """The worst expert of all models with a mixture, in words with the numbers of all models."""
    marks = []
    for line in routed:
        assert line.value.health is not None
        marks.append(line.mark(mean_over_layers(line.value.health.spreads("worst"))))
    title = "Worst expert, over the mean one"
    titles = ("row", "worst", "dead", "entropy", "CV²", "tokens/s", "product rate")
    rows = tuple(_row(line) for line in lines[: plots.MAX_MARKS])
    return Figure(title, plots.bars(marks, title, "worst ÷ mean", chance=1.0), words=Words(titles, rows))


def _row(line: Line) -> tuple[str, ...]:
    health = line.value.health
    texts = ("–", "–", "–", "–")
    if health is not None:
        texts = (
            formatting.number(mean_over_layers(health.spreads("worst"))),
            _dead(health),
            _entropy(health),
            formatting.number(mean_over_layers(health.spreads("cv2"))),
        )
    return line.title, *texts, *_speed_texts(line.value)


def _speed_texts(seen: Seen) -> tuple[str, str]:
    """Tokens per second, and per cent of the product rate."""
    fraction = "–"
    if seen.fraction is not None:
        fraction = f"{formatting.number(seen.fraction, 'share')} %"
    return formatting.count(seen.tokens_per_second), fraction


def _dead(health: RouterHealth) -> str:
    return f"{sum(health.dead())} of {sum(health.experts)}"


def _entropy(health: RouterHealth) -> str:
    return f"{mean_over_layers(health.evenness()):.1f} %"


def by_layer(line: Line) -> Figure:
    """The layers of a model that has a mixture."""
    health = line.value.health
    assert health is not None
    values = []
    rows = []
    measured = zip(
        health.layers, health.experts, health.spreads("worst"), health.evenness(), health.dead(), strict=True
    )
    for layer, experts, worst, evenness, dead in measured:
        block, attention = place_of(layer)
        about = {"part": "attention" if attention else "FFN", "layer": block, "dead": dead}
        values.append(about | _spread("worst", worst) | _spread("entropy", evenness))
        rows.append((layer, formatting.number(worst.mean), f"{dead} of {experts}", f"{evenness.mean:.1f} %"))
    caption = _caption(line.value, health)
    spec = _layers(values, f"Router health of {line.name} by layer. {caption}")
    words = Words(("layer", "worst", "dead", "entropy"), tuple(rows))
    return Figure(line.title, spec, caption, words)


def _spread(name: str, found: Spread) -> dict[str, float]:
    return {name: found.mean, f"{name} low": found.low, f"{name} high": found.high}


def _layers(values: Sequence[Mapping[str, float | str]], title: str) -> Spec:
    """Worst expert, entropy and dead experts by layer; a colour for each part of the model.

    The band behind a line goes from the lowest to the highest domain; the dashed line is an even load.
    """
    x = {"field": "layer", "type": "ordinal", "title": "layer", "axis": {"labelAngle": 0, "labelOverlap": True}}
    colour = {"field": "part", "type": "nominal", "title": None, "legend": {"orient": "top"}}
    dead = {"field": "dead", "type": "quantitative", "title": "dead"}
    below = {"height": 50, "width": LAYERS_WIDTH, "mark": "bar", "encoding": {"x": x, "y": dead, "color": colour}}
    charts = [_band("worst", "worst ÷ mean", 1.0, x, colour), _band("entropy", "entropy, %", 100.0, x, colour), below]
    return plots.composed(title, data={"values": values}, vconcat=charts)


def _band(name: str, title: str, even: float, x: Mapping[str, Any], colour: Mapping[str, Any]) -> dict[str, Any]:
    low = {"x": x, "y": plots.quantity(f"{name} low", title), "y2": {"field": f"{name} high"}, "color": colour}
    middle = {"x": x, "y": plots.quantity(name, title), "color": colour}
    layers = [plots.layer("area", low, opacity=0.25), plots.layer("line", middle, point=True), plots.level(even, "y")]
    return {"height": 90, "width": LAYERS_WIDTH, "layer": layers}


def _caption(seen: Seen, health: RouterHealth) -> str:
    worst = health.spreads("worst")
    place = max(range(len(worst)), key=lambda place: worst[place].high)
    text = (
        f"Worst expert {formatting.number(mean_over_layers(worst))} × the mean, at most "
        f"{formatting.number(worst[place].high)} × in layer {health.layers[place]}; {_dead(health)} experts dead; "
        f"entropy {_entropy(health)} of an even load's."
    )
    if seen.tokens_per_second is None:
        return text
    tokens, fraction = _speed_texts(seen)
    text += f" Training: {tokens} tokens per second"
    if seen.fraction is not None:
        text += f", {fraction} of the product rate"
    return f"{text}."


def over_training(lines: Sequence[Line]) -> list[Figure]:
    """A figure for each kind of curve, by step; the first tasks that have them."""
    found: dict[tuple[str, str], list[tuple[str, Curve]]] = defaultdict(list)
    for line in lines:
        for name, points in line.value.curves.items():
            for kind in CURVES:
                if name.endswith(kind) and len(points) > 1:
                    found[kind, line.task].append((line.name, points))
    figures = []
    for kind, label in CURVES.items():
        of_kind = [(task, curves) for (name, task), curves in found.items() if name == kind]
        for task, curves in of_kind[:MAX_CURVES]:
            title = f"{task}: {label} over training"
            figures.append(Figure(title, plots.curves(curves[:MAX_LINES], title, label)))
    return figures
