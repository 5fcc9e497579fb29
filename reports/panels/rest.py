"""Whether rows had come to rest: their scores on the validation part after trainings of doubled length.

It reads `details["rest"]`, which `suites/training/rest.py` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..figures import Figure, Words, plots
from ..records.rest import KEY, Rest, from_details
from ..tables import formatting
from .panel import Entry, TaskPanel

LEGEND = (
    "One seed. Each point is a training of its own from the same start, with its whole schedule of the learning rate; "
    "the last one was scored on the test part. A row has come to rest where that one gains no more than the margin "
    "over the one half as long. Whether every seed had: the curve “at rest” of its record."
)


class RestPanel(TaskPanel[Rest]):
    """A figure for each task, with a line for each row."""

    key = KEY
    title = "Trained until it rests"
    legend = LEGEND
    most_tasks = 8

    def parse(self, value: Any) -> Rest:
        """What one record says."""
        return from_details(value)

    def figures(self, task: str, entries: Sequence[Entry[Rest]]) -> Iterator[Figure]:
        """The curves of its rows."""
        first = entries[0].value
        lines = [(entry.name, _points(entry.value)) for entry in entries]
        rows = tuple((entry.title, _scores(entry.value), entry.value.words) for entry in entries)
        title = f"{task}: validation {first.metric} by length of training"
        drawn = plots.curves(lines, title, f"{first.metric} by {first.unit}")
        words = Words(("row", "by length", "at the end"), rows)
        yield Figure(title, drawn, f"Margin: {first.margin:g}.", words)


def _points(rest: Rest) -> list[tuple[float, float]]:
    return [(float(training.length), training.score) for training in rest.trainings]


def _scores(rest: Rest) -> str:
    return ", ".join(f"{training.length}: {formatting.number(training.score)}" for training in rest.trainings)


PANEL = RestPanel()
