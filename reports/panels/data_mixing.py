"""Mixtures of data sets whose weights move: weights, distances and loads by round, CV^2 against quality, overhead.

It reads the curves of a record (`reports/mixing/curves.py`) and the main metric.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import StatisticsError, correlation
from typing import Any

from ..figures import Figure, Words, plots
from ..figures.plots import MAX_MARKS, thinned
from ..mixing.curves import Curve, Mixing, from_curves, is_of_mixing
from ..records.record import Metric, Record
from ..tables import formatting
from .panel import Content, Entry, Panel, more

MAX_DRAWN = 3
"""Trainings that are drawn round by round."""
FEWEST = 3
"""Rows that a correlation needs."""
MAX_ROUNDS = 8
"""Rounds whose loads are drawn; of more, some in between are excluded."""
LEGEND = (
    "One seed. Weight: the probability with which the next row comes from a data set. Distance: how far a data set's "
    "load is from those of the others, or how much its loss exceeds the reference, whichever the strategy looks at. "
    "Loads are measured on held-out rows in evaluation; padding does not count. CV²: squared coefficient of variation "
    "of the load of all data sets together, 0 when it is even. Updates: CPU time of all measurements and updates. "
    "MT-Bench and AlpacaEval: n/a, both need a language model as judge."
)


@dataclass(frozen=True)
class Mixed:
    """What one record says: the curves, and the main metric with its name."""

    mixing: Mixing
    name: str
    metric: Metric | None


Line = Entry[Mixed]
"""One training; its name has the task."""


class DataMixingPanel(Panel[Mixed]):
    """All trainings in one figure, the first ones round by round."""

    key = "data_mixing"

    def entry(self, record: Record) -> Any:
        """The curves of the mixture and the main metric. Raises KeyError where there are none."""
        if not any(map(is_of_mixing, record.curves)):
            raise KeyError(self.key)
        return record.curves, record.main_metric, record.metrics.get(record.main_metric or "")

    def parse(self, value: Any) -> Mixed:
        """What one record says."""
        curves, name, metric = value
        return Mixed(from_curves(curves), name or "", metric)

    def show(self, entries: Sequence[Entry[Mixed]]) -> Content:
        """The trainings of all rows and tasks."""
        lines = [replace(entry, name=f"{entry.name} · {entry.task}") for entry in entries]
        figures = [overview(lines), *cv2_against_quality(lines)]
        for line in lines[:MAX_DRAWN]:
            figures += by_round(line)
        said = more(len(lines) - MAX_DRAWN, "trainings are not drawn round by round")
        said += more(len(lines) - MAX_MARKS, "are in the records")
        return Content("Data mixing", tuple(figures), legend=LEGEND + said)


def overview(lines: Sequence[Line]) -> Figure:
    """The overhead of all trainings, in words with their last weights and CV^2."""
    marks = [line.mark(100 * _last(line.value.mixing.overhead)) for line in lines]
    title = "Updates of the mixture, in per cent of the training's CPU time"
    rows = tuple(_row(line) for line in lines[:MAX_MARKS])
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
        rounds = thinned(list(zip(*curves, strict=True)), MAX_ROUNDS)
        panels[name] = [[value for _, value in points] for points in rounds]
        steps = [round(points[0][0]) for points in rounds]
    title = f"{line.title}: load of the last layer by step"
    caption = "Share of the choices of each expert against an even one; a round in each line, named by its step."
    return Figure(title, plots.heat_maps(panels, steps, title, down="step"), caption)


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
        shown = members[:MAX_MARKS]
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


PANEL = DataMixingPanel()
