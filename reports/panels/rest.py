"""Whether rows had come to rest: their scores on the validation part after trainings of doubled length.

It reads `details["rest"]`, which `suites/training/rest.py` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..figures import Figure, Words, plots
from ..figures.plots import MAX_MARKS, Mark
from ..records.rest import KEY, Rest, from_details
from ..tables import formatting
from .panel import Content, Entry, Panel

MAX_TASKS = 8
LEGEND = (
    "One seed. Each point is a training of its own from the same start, with its whole schedule of the learning rate; "
    "the last one was scored on the test part. A row has come to rest where that one gains no more than the margin "
    "over the one half as long. Whether every seed had: the curve “at rest” of its record."
)


class RestPanel(Panel[Rest]):
    """A figure for each task, with a line for each row."""

    key = KEY

    def parse(self, value: Any) -> Rest:
        """What one record says."""
        return from_details(value)

    def show(self, entries: Sequence[Entry[Rest]]) -> Content | None:
        """The curves of all tasks, at most `MAX_TASKS` of them."""
        tasks: dict[str, list[Entry[Rest]]] = {}
        for entry in entries:
            tasks.setdefault(entry.task, []).append(entry)
        if not tasks:
            return None
        figures = tuple(_figure(task, found) for task, found in list(tasks.items())[:MAX_TASKS])
        legend = LEGEND
        if len(tasks) > MAX_TASKS:
            legend += f" {len(tasks) - MAX_TASKS} more tasks are in the records."
        return Content("Trained until it rests", figures, legend=legend)


def _figure(task: str, entries: Sequence[Entry[Rest]]) -> Figure:
    shown = entries[:MAX_MARKS]
    first = shown[0].value
    lines = [(Mark(entry.number, entry.name, 0.0), _points(entry.value)) for entry in shown]
    rows = tuple((f"{entry.number}  {entry.name}", _scores(entry.value), entry.value.words) for entry in shown)
    title = f"{task}: validation {first.metric} by length of training"
    caption = f"Margin: {first.margin:g}."
    if len(entries) > len(shown):
        caption += f" {len(entries) - len(shown)} more rows are in the records."
    drawn = plots.curves(lines, title, f"{first.metric} by {first.unit}")
    return Figure(title, drawn, caption, Words(("row", "by length", "at the end"), rows))


def _points(rest: Rest) -> list[tuple[float, float]]:
    return [(float(training.length), training.score) for training in rest.trainings]


def _scores(rest: Rest) -> str:
    return ", ".join(f"{training.length}: {formatting.number(training.score)}" for training in rest.trainings)


PANEL = RestPanel()
