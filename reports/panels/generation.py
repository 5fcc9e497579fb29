"""What stands beside the FCD of generated molecules: how many, how drawn, how many are copies, what training took.

It reads the metrics of a record with an FCD, or with "draws per kept" where the row gave too few molecules for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..figures import Figure, Words, plots
from ..figures.plots import MAX_MARKS
from ..records.record import Metric, Record
from ..tables import formatting
from .panel import Content, Entry, Panel, more

FCD = "FCD/Test"
DRAWS = "draws per kept"
MAX_FIGURES = 4
TITLES = ("row", "molecules", "FCD", "drawn per kept", "valid", "repaired", "novel", "copies", "core seconds")
LEGEND = (
    "One seed. FCD falls with the number of molecules, so rows of one figure have equal numbers; a row with fewer has "
    "no FCD. Drawn per kept: molecules drawn for each that was kept. Valid: of those kept. Novel: fraction of the "
    "distinct molecules that are not in the training set; copies: of all molecules, those that are. A row of copies "
    "has a low FCD for that reason alone. Core seconds: of the training of the generator, where they are known."
)


@dataclass(frozen=True)
class Generation:
    """The number of molecules that were scored, and the metrics by name."""

    molecules: int
    metrics: Mapping[str, Metric]

    def text(self, name: str) -> str:
        """A metric as it is printed, a dash where there is none."""
        metric = self.metrics.get(name)
        if metric is None or metric.unit == "share":
            return formatting.per_cent(metric and metric.value)
        return formatting.number(metric.value, metric.unit)


class GenerationPanel(Panel[Generation]):
    """Bars of FCD for each task and number of molecules, and a table of the rest."""

    key = "generation"

    def entry(self, record: Record) -> Any:
        """The metrics. Raises KeyError for a record of another kind of task."""
        if not record.metrics.keys() & {FCD, DRAWS}:
            raise KeyError(self.key)
        return record.metrics

    def parse(self, value: Mapping[str, Metric]) -> Generation:
        """What one record says."""
        return Generation(value["valid"].n or 0, value)

    def show(self, entries: Sequence[Entry[Generation]]) -> Content:
        """The first tasks and numbers of molecules, as many as fit."""
        groups: dict[tuple[str, int], list[Entry[Generation]]] = {}
        for entry in entries:
            groups.setdefault((entry.task, entry.value.molecules), []).append(entry)
        figures = [_figure(*place, found[:MAX_MARKS]) for place, found in groups.items()]
        said = more(len(figures) - MAX_FIGURES, "tasks or numbers of molecules are in the records")
        return Content("Generated molecules", tuple(figures[:MAX_FIGURES]), legend=LEGEND + said)


def _figure(task: str, molecules: int, entries: Sequence[Entry[Generation]]) -> Figure:
    title = f"{task}, {molecules:,} molecules"
    marks = [entry.mark(entry.value.metrics[FCD].value) for entry in entries if FCD in entry.value.metrics]
    rows = tuple(_row(entry) for entry in entries)
    return Figure(title, plots.bars(marks, title, "FCD, lower is better"), words=Words(TITLES, rows))


def _row(entry: Entry[Generation]) -> tuple[str, ...]:
    value = entry.value
    seconds = value.metrics.get("core seconds")
    names = (FCD, DRAWS, "valid", "repaired", "Novelty", "copies")
    took = "–" if seconds is None else f"{seconds.value:,.0f}"
    return (entry.title, f"{value.molecules:,}", *map(value.text, names), took)


PANEL = GenerationPanel()
