"""Whether rows had come to rest: their scores on the validation part after trainings of doubled length.

It reads `details["rest"]`, which `suites/training/rest.py` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..figures import Figure, Words, plots
from ..figures.plots import MAX_MARKS, Mark
from ..records.record import RecordError
from ..tables import formatting
from .panel import Content, Entry, Panel

KEY = "rest"
AT_REST = "at rest"
"""The curve whose last point is 1 where the row had come to rest, and 0 where it had not."""
MAX_TASKS = 8
LEGEND = (
    "One seed. Each point is a training of its own from the same start, with its whole schedule of the learning rate; "
    "the last one was scored on the test part. A row has come to rest where that one gains no more than the margin "
    "over the one half as long. Whether every seed had: the curve “at rest” of its record."
)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One training: how long it was, its score on the validation part, its seconds and operations."""

    length: int
    score: float
    seconds: float
    flops: float


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What one row did until it rested, or reached its ceiling.

    Raises:
        RecordError: no training, or lengths that do not grow.
    """

    metric: str
    """Main metric of the task."""
    unit: str
    """Of the lengths: epochs or steps."""
    margin: float
    """The gain of a doubling that counts as none, in the unit of the metric."""
    rested: bool
    trainings: tuple[Trained, ...]
    """From the shortest on; the last one stayed."""

    def __post_init__(self) -> None:
        lengths = [training.length for training in self.trainings]
        if not lengths or sorted(set(lengths)) != lengths:
            raise RecordError(f"trainings of {lengths} {self.unit} are no series of growing ones")

    @property
    def words(self) -> str:
        """How it ended."""
        last = f"{self.trainings[-1].length} {self.unit}"
        return f"at rest after {last}" if self.rested else f"still gaining after {last}"


def to_details(rest: Rest) -> dict[str, Any]:
    """The entry of a record's details."""
    return asdict(rest)


class RestPanel(Panel[Rest]):
    """A figure for each task, with a line for each row."""

    key = KEY

    def parse(self, value: Any) -> Rest:
        """What one record says."""
        trainings = tuple(Trained(**training) for training in value["trainings"])
        return Rest(**{**value, "trainings": trainings})

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
