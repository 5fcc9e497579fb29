"""Whether molecules follow a wanted property, one column a property: a mean would hide one that does not follow.

It reads the metrics "spearman <property>" and "MAE <property>" of a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..figures import Figure, Words, plots
from ..figures.plots import MAX_MARKS, Mark
from ..records.record import Metric, Record
from ..tables import formatting
from .panel import Content, Entry, Panel

RANK = "spearman "
ERROR = "MAE "
MAX_FIGURES = 4
LEGEND = (
    "One seed. Spearman's correlation of what was asked for and what came out, for each property alone: 0 is one that "
    "does not follow. In brackets: the mean absolute error in standard deviations of the training molecules. The bar "
    "is the property that follows least."
)


class PropertyColumnsPanel(Panel[Mapping[str, Metric]]):
    """Bars of the least correlation of each row, and a table with a column a property."""

    key = "property_columns"

    def entry(self, record: Record) -> Any:
        """The metrics. Raises KeyError where none is of a property."""
        if not _properties(record.metrics):
            raise KeyError(self.key)
        return record.metrics

    def parse(self, value: Mapping[str, Metric]) -> Mapping[str, Metric]:
        """The metrics themselves."""
        return value

    def show(self, entries: Sequence[Entry[Mapping[str, Metric]]]) -> Content | None:
        """The first tasks, as many as fit."""
        tasks: dict[str, list[Entry[Mapping[str, Metric]]]] = {}
        for entry in entries:
            tasks.setdefault(entry.task, []).append(entry)
        if not tasks:
            return None
        figures = tuple(_figure(task, found[:MAX_MARKS]) for task, found in list(tasks.items())[:MAX_FIGURES])
        more = "" if len(tasks) <= MAX_FIGURES else f" {len(tasks) - MAX_FIGURES} more tasks are in the records."
        return Content("Wanted properties", figures, legend=LEGEND + more)


def _properties(metrics: Mapping[str, Metric]) -> list[str]:
    return [name.removeprefix(RANK) for name in metrics if name.startswith(RANK)]


def _figure(task: str, entries: Sequence[Entry[Mapping[str, Metric]]]) -> Figure:
    names = _properties(entries[0].value)
    marks = []
    rows = []
    for entry in entries:
        least = min(entry.value[RANK + name].value for name in _properties(entry.value))
        marks.append(Mark(entry.number, entry.name, least))
        rows.append((f"{entry.number}  {entry.name}", *(_text(entry.value, name) for name in names)))
    title = f"{task}: the property that follows least"
    return Figure(title, plots.bars(marks, title, "Spearman"), words=Words(("row", *names), tuple(rows)))


def _text(metrics: Mapping[str, Metric], name: str) -> str:
    rank = metrics.get(RANK + name)
    if rank is None:
        return "–"
    text = formatting.number(rank.value)
    error = metrics.get(ERROR + name)
    return text if error is None else f"{text} ({formatting.number(error.value)})"


PANEL = PropertyColumnsPanel()
