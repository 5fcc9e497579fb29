"""Panel: how the weights of a data mixture moved."""

from collections.abc import Sequence
from typing import Any

from sparsebench.reports.figures import Figure, Words, plots
from sparsebench.reports.panels.panel import Content, Entry, Panel
from sparsebench.reports.records.record import Record, RecordError

PREFIX = "weight of domain "
Weights = dict[str, list[tuple[float, float]]]


class MixtureWeights(Panel[Weights]):
    """A figure for each row and task with the share of each domain by step."""

    key = "mixture weights"

    def entry(self, record: Record) -> Any:
        """The curves of the weights."""
        found = {name.removeprefix(PREFIX): points for name, points in record.curves.items() if name.startswith(PREFIX)}
        if not found:
            raise KeyError(self.key)
        return found

    def parse(self, value: Any) -> Weights:
        """Shares lie from 0 to 1."""
        for points in value.values():
            if not all(0 <= weight <= 1 for _, weight in points):
                raise RecordError("a weight of a mixture is no share")
        return value

    def show(self, entries: Sequence[Entry[Weights]]) -> Content:
        """All of them: there are few."""
        return Content("Mixture weights", tuple(map(_figure, entries)), legend="Share of each domain by step.")


def _figure(entry: Entry[Weights]) -> Figure:
    lines = sorted(entry.value.items())
    rows = [(name, f"{points[0][1]:.3f}", f"{points[-1][1]:.3f}") for name, points in lines]
    title = f"{entry.name} · {entry.task}"
    words = Words(("domain", "first", "last"), tuple(rows))
    return Figure(title, plots.curves(lines, title, "share"), words=words)


PANEL = MixtureWeights()
