"""Whether molecules follow a wanted property, one column a property: a mean would hide one that does not follow.

It reads the metrics "spearman <property>" and "MAE <property>" of a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..figures import Figure, Words, plots
from ..records.record import Metric, Record
from ..tables import formatting
from .panel import Entry, TaskPanel

RANK = "spearman "
ERROR = "MAE "
LEGEND = (
    "One seed. Spearman's correlation of what was asked for and what came out, for each property alone: 0 is one that "
    "does not follow. In brackets: the mean absolute error in standard deviations of the training molecules. The bar "
    "is the property that follows least."
)


class PropertyColumnsPanel(TaskPanel[Mapping[str, Metric]]):
    """Bars of the least correlation of each row, and a table with a column a property."""

    key = "property_columns"
    title = "Wanted properties"
    legend = LEGEND
    most_tasks = 4

    def entry(self, record: Record) -> Any:
        """The metrics. Raises KeyError where none is of a property."""
        if not _properties(record.metrics):
            raise KeyError(self.key)
        return record.metrics

    def parse(self, value: Mapping[str, Metric]) -> Mapping[str, Metric]:
        """The metrics themselves."""
        return value

    def figures(self, task: str, entries: Sequence[Entry[Mapping[str, Metric]]]) -> Iterator[Figure]:
        """The columns are the properties of the first row."""
        names = _properties(entries[0].value)
        marks = []
        rows = []
        for entry in entries:
            marks.append(entry.mark(min(entry.value[RANK + name].value for name in _properties(entry.value))))
            rows.append((entry.title, *(_text(entry.value, name) for name in names)))
        title = f"{task}: the property that follows least"
        yield Figure(title, plots.bars(marks, title, "Spearman"), words=Words(("row", *names), tuple(rows)))


def _properties(metrics: Mapping[str, Metric]) -> list[str]:
    return [name.removeprefix(RANK) for name in metrics if name.startswith(RANK)]


def _text(metrics: Mapping[str, Metric], name: str) -> str:
    rank = metrics.get(RANK + name)
    if rank is None:
        return "–"
    text = formatting.number(rank.value)
    error = metrics.get(ERROR + name)
    return text if error is None else f"{text} ({formatting.number(error.value)})"


PANEL = PropertyColumnsPanel()
