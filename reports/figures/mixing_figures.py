"""Figures of mixtures of data sets: weights, distances and loads by round, and CV^2 of the load against quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import StatisticsError, correlation

from ..mixing.curves import Curve, Mixing
from ..records.record import Metric
from ..tables import formatting
from . import Figure, Words, plots
from .plots import Entry

FEWEST = 3
"""Rows that a correlation needs."""
MAX_ROUNDS = 8
"""Rounds whose loads are drawn; of more, some in between are excluded."""


@dataclass(frozen=True)
class Mixed:
    """What one record says: the curves, and the main metric with its name."""

    mixing: Mixing
    name: str
    metric: Metric | None


Line = Entry[Mixed]
"""One training; its name has the task."""


def overview(lines: Sequence[Line]) -> Figure:
    """The overhead of all trainings, in words with their last weights and CV^2."""
    marks = [line.mark(100 * _last(line.value.mixing.overhead)) for line in lines]
    title = "Updates of the mixture, in per cent of the training's CPU time"
    rows = tuple(_row(line) for line in lines[: plots.MAX_MARKS])
    titles = ("row", "weights at the end", "CV²", "updates", "metric")
    return Figure(title, plots.bars(marks, title, "% of CPU time"), words=Words(titles, rows))


def _row(line: Line) -> tuple[str, ...]:
    weights = [f"{name} {100 * _last(points):.1f} %" for name, points in line.value.mixing.weight.items()]
    cv2 = quality = overhead = "–"
    if line.value.mixing.cv2:
        cv2 = formatting.number(_last(line.value.mixing.cv2))
    if line.value.mixing.overhead:
        overhead = f"{100 * _last(line.value.mixing.overhead):.2f} %"
    if line.value.metric is not None:
        quality = f"{line.value.name} {formatting.number(line.value.metric.value)}"
    return line.title, ", ".join(weights), cv2, overhead, quality


def by_round(line: Line) -> list[Figure]:
    """Weights, distances and loads of one training, round by round."""
    found = line.value.mixing
    kinds = {"weight": found.weight, "distance or excess loss": found.delta, "held-out loss": found.loss}
    figures = [_curves(line, by_set, what) for what, by_set in kinds.items() if by_set]
    return [*figures, _loads(line)] if found.load else figures


def _curves(line: Line, by_set: Mapping[str, Curve], what: str) -> Figure:
    title = f"{line.title}: {what} by step"
    rows = []
    for name, points in by_set.items():
        rows.append((name, formatting.number(points[0][1]), formatting.number(points[-1][1])))
    words = Words(("data set", "first", "last"), tuple(rows))
    return Figure(title, plots.curves(list(by_set.items()), title, what), words=words)


def _loads(line: Line) -> Figure:
    """A panel for each data set: rounds down, experts across."""
    steps: list[int] = []
    panels: dict[str, list[list[float]]] = {}
    for name, by_expert in line.value.mixing.load.items():
        curves = [by_expert[expert] for expert in sorted(by_expert)]
        chosen = _chosen(len(curves[0]))
        panels[name] = [[points[place][1] for points in curves] for place in chosen]
        steps = [round(curves[0][place][0]) for place in chosen]
    title = f"{line.title}: load of the last layer by step"
    caption = "Share of the choices of each expert against an even one; a round in each line, named by its step."
    return Figure(title, plots.heat_maps(panels, steps, title, down="step"), caption)


def _chosen(rounds: int) -> list[int]:
    """At most `MAX_ROUNDS` places, the first and the last among them."""
    if rounds <= MAX_ROUNDS:
        return list(range(rounds))
    return [round(number * (rounds - 1) / (MAX_ROUNDS - 1)) for number in range(MAX_ROUNDS)]


def cv2_against_quality(lines: Sequence[Line]) -> list[Figure]:
    """A figure for each task in which enough trainings know both, with Pearson's correlation over them."""
    tasks: dict[str, list[tuple[Line, Metric]]] = defaultdict(list)
    for line in lines:
        if line.value.mixing.cv2 and line.value.metric is not None:
            tasks[line.task].append((line, line.value.metric))
    figures = []
    for task, members in tasks.items():
        if len(members) < FEWEST:
            continue
        shown = members[: plots.MAX_MARKS]
        marks = [line.mark(metric.value, cost=_last(line.value.mixing.cv2)) for line, metric in shown]
        title = f"{task}: quality against CV² of the load at the end"
        caption = f"{len(marks)} trainings; the correlation is not defined: one of the two does not differ."
        with suppress(StatisticsError):
            found = correlation([mark["cost"] for mark in marks], [mark["value"] for mark in marks])
            caption = f"Pearson's correlation over {len(marks)} trainings: {found:+.3f}; MoE-SFT reports -0.762."
        first, metric = members[0]
        spec = plots.tradeoff(marks, title, "CV² of the load", first.value.name, metric.higher_is_better)
        figures.append(Figure(title, spec, caption))
    return figures


def _last(points: Curve) -> float:
    return points[-1][1] if points else 0.0
