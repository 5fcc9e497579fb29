"""Whether the experts share the work: worst expert, dead experts, entropy by layer; CV^2 over training; speed.

It reads `details["router_health"]` (its form: `reports/router_health.py`), the curves of routers, and the training
costs with `details["product_rate"]`: also of rows without a mixture, for the comparison of speed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import formatting
from ..figures import Figure, Words, layer_plots, plots
from ..figures.layer_plots import LayerMark
from ..figures.plots import Mark
from ..record import Record, RecordError, TrainingCosts
from ..router_health import (
    BALANCE,
    CV2,
    KEY,
    PRODUCT_RATE,
    RouterHealth,
    from_details,
    is_of_routers,
    mean_over_layers,
    place_of,
)
from .panel import Content, Entry, Panel

MAX_LAYERED = 4
"""Rows that are drawn by layer."""
MAX_CURVES = 2
MAX_LINES = 10
LEGEND = (
    "One seed. Worst expert: the tokens of the busiest expert over those of the mean one, 1 when all get as many. "
    "Dead: experts that no token of any domain chose. Entropy of the load, in per cent of that of an even load. CV²: "
    "squared coefficient of variation of the load, 0 when it is even. Means over layers and domains; bands: from the "
    "lowest to the highest domain; dashed: an even load. Tokens per second of training, evaluations and checkpoints "
    "included; product rate: the operations of the training per second over those of a large matrix product, of the "
    "same type of numbers and on as many threads, on the same machine."
)

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Seen:
    """What a record says: None for what it does not. `share` is that of the machine's product rate."""

    health: RouterHealth | None
    trained: bool
    tokens_per_second: float | None
    share: float | None
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class Line:
    """One model: its row's number, its name (with the task where it was trained for it), what is known of it."""

    number: int
    name: str
    task: str
    seen: Seen


class RouterHealthPanel(Panel[Seen]):
    """A figure of all rows, figures by layer of the first ones, and the CV^2 over training."""

    key = KEY

    def entry(self, record: Record) -> Any:
        """The entries of `details`, the curves and the training costs that the panel reads."""
        curves = {name: points for name, points in record.curves.items() if is_of_routers(name)}
        if KEY not in record.details and PRODUCT_RATE not in record.details and not curves:
            raise KeyError(KEY)
        return record.details.get(KEY), record.details.get(PRODUCT_RATE), record.training, curves

    def parse(self, value: Any) -> Seen:
        """What one record says."""
        entry, rate, training, curves = value
        tokens_per_second, share = _speed(training, rate)
        health = None
        if entry is not None:
            health = from_details(entry)
        return Seen(
            health=health,
            trained=training is not None,
            tokens_per_second=tokens_per_second,
            share=share,
            curves=curves,
        )

    def show(self, entries: Sequence[Entry[Seen]]) -> Content | None:
        """Nothing without a mixture; else rows without one are there for their speed."""
        lines = _lines(entries)
        routed = [line for line in lines if line.seen.health is not None]
        figures = _over_training(lines)
        if routed:
            figures = [_overview(routed, lines), *(_by_layer(line) for line in routed[:MAX_LAYERED]), *figures]
        if not figures:
            return None
        more = ""
        if len(routed) > MAX_LAYERED:
            more = f" {len(routed) - MAX_LAYERED} more rows have a mixture and are not drawn by layer."
        return Content("Router health", tuple(figures), legend=LEGEND + more)


def _speed(training: TrainingCosts | None, rate: Any) -> tuple[float | None, float | None]:
    """Tokens per second, and the share of the product rate."""
    if rate is not None and not 0 < rate < math.inf:
        raise RecordError(f"{PRODUCT_RATE} is {rate!r}, not a positive number")
    if training is None or not training.seconds:
        return None, None
    tokens_per_second = None
    share = None
    if training.tokens:
        tokens_per_second = training.tokens / training.seconds
    if training.flops and rate:
        share = training.flops / training.seconds / rate
    return tokens_per_second, share


def _lines(entries: Sequence[Entry[Seen]]) -> list[Line]:
    """Where nothing was trained, the tasks of a row (bits per byte of one domain each, say) are of one model."""
    found: dict[tuple[int, str], Line] = {}
    for entry in entries:
        name = entry.name
        place = (entry.number, "")
        if entry.value.trained:
            name = f"{entry.name} · {entry.task}"
            place = (entry.number, entry.task)
        line = Line(entry.number, name, entry.task, entry.value)
        if place in found:
            line = _merged(found[place], line)
        found[place] = line
    return list(found.values())


def _merged(known: Line, other: Line) -> Line:
    """The domains of both; a health of another form than the first is not of that model."""
    first = known.seen.health
    second = other.seen.health
    if first is None:
        return other
    if second is None or first.form != second.form:
        return known
    health = replace(first, domains={**first.domains, **second.domains})
    return replace(known, seen=replace(known.seen, health=health))


def _overview(routed: Sequence[Line], lines: Sequence[Line]) -> Figure:
    marks = []
    for line in routed:
        assert line.seen.health is not None
        marks.append(Mark(line.number, line.name, mean_over_layers(line.seen.health.spreads("worst"))))
    title = "Worst expert, over the mean one"
    titles = ("row", "worst", "dead", "entropy", "CV²", "tokens/s", "product rate")
    rows = tuple(_row(line) for line in lines[: plots.MAX_MARKS])
    return Figure(title, plots.bars(marks, title, "worst ÷ mean", chance=1.0), words=Words(titles, rows))


def _row(line: Line) -> tuple[str, ...]:
    health = line.seen.health
    texts = ("–", "–", "–", "–")
    if health is not None:
        texts = (
            formatting.number(mean_over_layers(health.spreads("worst"))),
            _dead(health),
            _entropy(health),
            formatting.number(mean_over_layers(health.spreads("cv2"))),
        )
    return f"{line.number}  {line.name}", *texts, *_speed_texts(line.seen)


def _speed_texts(seen: Seen) -> tuple[str, str]:
    """Tokens per second, and per cent of the product rate."""
    share = "–"
    if seen.share is not None:
        share = f"{formatting.number(seen.share, 'share')} %"
    return formatting.count(seen.tokens_per_second), share


def _dead(health: RouterHealth) -> str:
    return f"{sum(health.dead())} of {sum(health.experts)}"


def _entropy(health: RouterHealth) -> str:
    return f"{mean_over_layers(health.evenness()):.1f} %"


def _by_layer(line: Line) -> Figure:
    health = line.seen.health
    assert health is not None
    parts: dict[str, list[LayerMark]] = defaultdict(list)
    rows = []
    measured = zip(
        health.layers, health.experts, health.spreads("worst"), health.evenness(), health.dead(), strict=True
    )
    for layer, experts, worst, evenness, dead in measured:
        block, attention = place_of(layer)
        part = "FFN"
        if attention:
            part = "attention"
        parts[part].append(LayerMark(block, worst, evenness, dead))
        rows.append((layer, formatting.number(worst.mean), f"{dead} of {experts}", f"{evenness.mean:.1f} %"))
    caption = _caption(line.seen, health)
    svg = layer_plots.router_health(parts, f"Router health of {line.name} by layer. {caption}")
    return Figure(
        f"{line.number}  {line.name}", svg, caption, Words(("layer", "worst", "dead", "entropy"), tuple(rows))
    )


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
    tokens, share = _speed_texts(seen)
    text += f" Training: {tokens} tokens per second"
    if seen.share is not None:
        text += f", {share} of the product rate"
    return f"{text}."


def _over_training(lines: Sequence[Line]) -> list[Figure]:
    """CV^2 by step, then the balance loss; the first tasks that have them."""
    found: dict[tuple[str, str], list[tuple[Mark, Curve]]] = defaultdict(list)
    for line in lines:
        for name, points in line.seen.curves.items():
            if len(points) > 1:
                kind = CV2
                if name.endswith(BALANCE):
                    kind = BALANCE
                found[kind, line.task].append((Mark(line.number, "", 0.0), points))
    figures = []
    for kind, label in ((CV2, "CV² of the load"), (BALANCE, "balance loss")):
        of_kind = [(task, curves) for (name, task), curves in found.items() if name == kind]
        for task, curves in of_kind[:MAX_CURVES]:
            title = f"{task}: {label} over training"
            figures.append(Figure(title, plots.curves(curves[:MAX_LINES], title, label)))
    return figures


PANEL = RouterHealthPanel()
