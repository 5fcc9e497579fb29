"""Whether rows had come to rest: their scores on the validation part after trainings of doubled length.

It reads `details["rest"]`, which `suites/training/rest.py` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..figures import Figure, Words, plots
from ..records.record_limits import RecordError
from ..tables import formatting
from .panel import Entry, TaskPanel

KEY = "rest"
AT_REST = "at rest"
"""The curve whose last point is 1 where the row had come to rest, and 0 where it had not."""
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


class RestPanel(TaskPanel[Rest]):
    """A figure for each task, with a line for each row."""

    key = KEY
    title = "Trained until it rests"
    legend = LEGEND
    most_tasks = 8

    def parse(self, value: Any) -> Rest:
        """What one record says."""
        return Rest(**{**value, "trainings": tuple(Trained(**one) for one in value["trainings"])})

    def figures(self, task: str, entries: Sequence[Entry[Rest]]) -> Iterator[Figure]:
        """The curves of its rows."""
        first = entries[0].value
        lines = [(entry.name, [(one.length, one.score) for one in entry.value.trainings]) for entry in entries]
        rows = tuple((entry.title, _scores(entry.value), entry.value.words) for entry in entries)
        title = f"{task}: validation {first.metric} by length of training"
        drawn = plots.curves(lines, title, f"{first.metric} by {first.unit}")
        words = Words(("row", "by length", "at the end"), rows)
        yield Figure(title, drawn, f"Margin: {first.margin:g}.", words)


def _scores(rest: Rest) -> str:
    return ", ".join(f"{training.length}: {formatting.number(training.score)}" for training in rest.trainings)


PANEL = RestPanel()
