"""Whether the experts share the work: worst expert, dead experts, entropy by layer; routers over training; speed.

It reads `details["router_health"]` (its form: `reports/routers/health.py`) or, where a task keeps none, what the last
method noted; the curves over training; the training costs with `details["product_rate"]`, also of rows without a
mixture, for the comparison of speed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..figures import Figure, Spec, Words, plots
from ..figures.plots import MAX_MARKS
from ..records.record import Record, RecordError, TrainingCosts
from ..routers import health as routers
from ..routers.health import RouterHealth, Spread, from_details, is_of_routers, mean_over_layers, place_of
from ..tables import formatting
from .panel import Content, Entry, Panel, by_link, more

MAX_LAYERED = 4
"""Rows that are drawn by layer."""
MAX_CURVES = 2
"""Tasks whose curves over training are drawn."""
MAX_LINES = 10
LAYERS_WIDTH = 260
"""Points: charts above each other cannot be as wide as their place."""
Curve = Sequence[tuple[float, float]]
CURVES = {
    routers.CERTAINTY: "entropy ÷ greatest",
    routers.CLEAN: "agreement with the clean choice",
    routers.START: "agreement with the start",
    routers.CV2: "CV² of the load",
    routers.BALANCE: "balance loss",
}
"""The curves of routers that are drawn over training, and what their axes say."""
LEGEND = (
    "One seed; on the text that is scored, outside of the language tasks on the calibration data. Worst expert: the "
    "tokens of the busiest expert over those of the mean one, 1 when all get as many. Dead: experts that no token of "
    "any domain chose. Entropy of the load, in per cent of that of an even load. CV²: squared coefficient of "
    "variation of the load, 0 when it is even. Means over layers and domains; bands: from the lowest to the highest "
    "domain; dashed: an even load. Over training: the entropy of a token's router softmax on held-out text over the "
    "greatest, 1 for a router that chooses by chance; the fraction of a step's choices that would be the same without "
    "noise, and of the choices on held-out text that the model before training made as well; by chance both are K of "
    "N. Tokens per second of training, evaluations and checkpoints included; product rate: the operations of the "
    "training per second over those of a large matrix product, of the same type of numbers and on as many threads, on "
    "the same machine."
)


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


class RouterHealthPanel(Panel[Seen]):
    """A figure of all rows, figures by layer of the first ones, and curves over training."""

    key = routers.KEY

    def entry(self, record: Record) -> Any:
        """The entries of `details`, the curves and the training costs that the panel reads. Raises KeyError without
        any.
        """
        curves = {name: points for name, points in record.curves.items() if is_of_routers(name)}
        # The last link's model is the one that was scored.
        known = [*by_link(record.details, routers.ON_CALIBRATION).values()][-1:]
        if routers.KEY in record.details:
            known = [record.details[routers.KEY]]
        if not known and routers.PRODUCT_RATE not in record.details and not curves:
            raise KeyError(routers.KEY)
        return known, record.details.get(routers.PRODUCT_RATE), record.training, curves

    def parse(self, value: Any) -> Seen:
        """What one record says."""
        known, rate, training, curves = value
        tokens_per_second, fraction = _speed(training, rate)
        health = from_details(known[0]) if known else None
        return Seen(health, training is not None, tokens_per_second, fraction, curves)

    def show(self, entries: Sequence[Entry[Seen]]) -> Content | None:
        """Nothing without a mixture; else rows without one are there for their speed."""
        lines = _lines(entries)
        routed = [line for line in lines if line.value.health is not None]
        figures = over_training(lines)
        if routed:
            figures = [overview(routed, lines), *(by_layer(line) for line in routed[:MAX_LAYERED]), *figures]
        if not figures:
            return None
        said = more(len(routed) - MAX_LAYERED, "rows have a mixture and are not drawn by layer")
        said += more(len(lines) - MAX_MARKS, "rows are in the records")
        return Content("Router health", tuple(figures), legend=LEGEND + said)


def _speed(training: TrainingCosts | None, rate: Any) -> tuple[float | None, float | None]:
    """Tokens per second, and the fraction of the product rate."""
    if rate is not None and not 0 < rate < math.inf:
        raise RecordError(f"{routers.PRODUCT_RATE} is {rate!r}, not a positive number")
    if training is None or not training.seconds:
        return None, None
    tokens_per_second = training.tokens / training.seconds if training.tokens else None
    fraction = training.flops / training.seconds / rate if training.flops and rate else None
    return tokens_per_second, fraction


def _lines(entries: Sequence[Entry[Seen]]) -> list[Line]:
    """Where nothing was trained, the tasks of a row (bits per byte of one domain each, say) are of one model."""
    found: dict[tuple[int, str], Line] = {}
    for entry in entries:
        line = entry
        place = entry.number, ""
        if entry.value.trained:
            line = replace(entry, name=f"{entry.name} · {entry.task}")
            place = entry.number, entry.task
        found[place] = _merged(found[place], line) if place in found else line
    return list(found.values())


def _merged(known: Line, other: Line) -> Line:
    """The domains of both; a health of another form than the first is not of that model."""
    first = known.value.health
    second = other.value.health
    if first is None:
        return other
    if second is None or first.form != second.form:
        return known
    health = replace(first, domains={**first.domains, **second.domains})
    return replace(known, value=replace(known.value, health=health))


def overview(routed: Sequence[Line], lines: Sequence[Line]) -> Figure:
    """The worst expert of all models with a mixture, in words with the numbers of all models."""
    marks = []
    for line in routed:
        assert line.value.health is not None
        marks.append(line.mark(mean_over_layers(line.value.health.spreads("worst"))))
    title = "Worst expert, over the mean one"
    titles = ("row", "worst", "dead", "entropy", "CV²", "tokens/s", "product rate")
    rows = tuple(_row(line) for line in lines[:MAX_MARKS])
    return Figure(title, plots.bars(marks, title, "worst ÷ mean", chance=1.0), words=Words(titles, rows))


def _row(line: Line) -> tuple[str, ...]:
    health = line.value.health
    texts = ["–"] * 4
    if health is not None:
        worst, cv2 = (formatting.number(mean_over_layers(health.spreads(name))) for name in ("worst", "cv2"))
        texts = [worst, _dead(health), _entropy(health), cv2]
    seen = line.value
    return line.title, *texts, formatting.count(seen.tokens_per_second), formatting.per_cent(seen.fraction)


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
    """Worst expert, entropy and, where there are some, dead experts by layer; a colour for each part of the model.

    The band behind a line goes from the lowest to the highest domain; the dashed line is an even load.
    """
    x = {"field": "layer", "type": "ordinal", "title": "layer", "axis": {"labelAngle": 0, "labelOverlap": True}}
    colour = {"field": "part", "type": "nominal", "title": None, "legend": {"orient": "top"}}
    charts = [_band("worst", "worst ÷ mean", 1.0, x, colour), _band("entropy", "entropy, %", 100.0, x, colour)]
    if any(value["dead"] for value in values):
        whole = {"tickMinStep": 1, "format": "d"}
        dead = {"field": "dead", "type": "quantitative", "title": "dead", "axis": whole}
        encoding = {"x": x, "y": dead, "color": colour}
        charts.append({"height": 50, "width": LAYERS_WIDTH, "mark": "bar", "encoding": encoding})
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
    text += f" Training: {formatting.count(seen.tokens_per_second)} tokens per second"
    if seen.fraction is not None:
        text += f", {formatting.per_cent(seen.fraction)} of the product rate"
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


PANEL = RouterHealthPanel()
