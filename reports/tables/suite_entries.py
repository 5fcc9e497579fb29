"""What the comparison table of a suite consists of, and what its cells and titles say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..records.html_table import html_table
from ..records.visible import visible
from ..statistics import Estimate
from . import formatting
from .matrix import Column, Row

Role = Literal["baseline", "control", "ceiling", "method"]
RIVALS = ("baseline", "method")
"""The roles that may win. A control takes the idea out of a method; a ceiling is what no method is meant to pass."""
Kind = Literal["value", "n/a", "failed", "oom", "timeout", "missing"]


@dataclass(frozen=True)
class Family:
    """Tasks whose scores may be averaged; `title` says of what.

    `baselines` are the labels of the rows that the others are compared with, each row with one of its backbone.
    """

    columns: tuple[Column, ...]
    title: str
    baselines: tuple[str, ...]

    @property
    def name(self) -> str:
        """The title, or the task itself where there is only one."""
        first = self.columns[0]
        if len(self.columns) > 1:
            return self.title
        return f"{first.name} ({first.metric})"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One score in the table, or why there is none.

    `best`: cannot be distinguished from the best of its column. `lost`: seeds that failed while others went well.
    """

    kind: Kind
    estimate: Estimate | None = None
    best: bool = False
    at_chance: bool = False
    lost: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Average:
    """An average column: the mean over the tasks of one family, or the mean of its group means."""

    title: str
    columns: tuple[Column, ...]
    of_groups: bool


@dataclass(frozen=True)
class Line:
    """A row of the table with all that is printed in it."""

    row: Row
    name: str
    role: Role
    entries: tuple[Entry, ...]
    averages: tuple[Entry, ...]
    costs: tuple[float | None, ...]
    training: tuple[float | None, ...] = ()

    @property
    def shown_name(self) -> str:
        """The name, with the role of a control or a ceiling."""
        name = self.name
        if self.role not in RIVALS:
            name += f" ({self.role})"
        return visible(name)


@dataclass(frozen=True)
class SuiteTable:
    """The comparison table, independent of how it is printed."""

    title: str
    columns: tuple[Column, ...]
    families: tuple[Family, ...]
    averages: tuple[Average, ...]
    cost_titles: tuple[str, ...]
    lines: tuple[Line, ...]
    training_titles: tuple[str, ...] = ()
    """Empty if no record says what its training took."""
    processors: tuple[str, ...] = ()
    """Types of processor that the times are of, in the order of their columns."""
    captions: Mapping[Column, str] = field(default_factory=dict)
    """What a reader must know of a task: whether pre-trained rows are ahead of random features there."""
    deployed: tuple[str, ...] = ()
    """Names of the rows whose costs are of a compact form, made after training."""

    @property
    def score_titles(self) -> list[str]:
        """Those of the tasks, then those of the averages."""
        return [*map(column_title, self.columns), *map(average_title, self.averages)]

    def scores(self, line: Line) -> list[tuple[Entry, str]]:
        """What stands under these titles in a line, each with its unit."""
        columns = [*self.columns, *(average.columns[0] for average in self.averages)]
        pairs = zip((*line.entries, *line.averages), columns, strict=True)
        return [(entry, column.unit) for entry, column in pairs]

    def _repr_html_(self) -> str:
        """What a notebook shows: scores and means, the best ones bold; costs stand in the other forms."""
        rows = []
        for line in self.lines:
            cells = [(entry_text(entry, unit, {}), entry.best) for entry, unit in self.scores(line)]
            rows.append([line.shown_name, *cells])
        return html_table(["row", *self.score_titles], rows, self.title)


def column_title(column: Column) -> str:
    """Task, unit and the direction that is better: "piqa (%) ↑"."""
    unit = formatting.shown_unit(column.unit) or column.metric
    if not unit:
        return column.name
    return f"{column.name} ({unit}) {_arrow(column)}"


def average_title(average: Average) -> str:
    """ "mean accuracy (%) ↑"."""
    unit = formatting.shown_unit(average.columns[0].unit)
    return f"{average.title} ({unit}) {_arrow(average.columns[0])}"


def entry_text(entry: Entry, unit: str, notes: dict[str, int]) -> str:
    """What stands in a cell, without emphasis: 42.0 ± 1.3†, n/a [1], failed, –."""
    if entry.kind == "value" and entry.estimate is not None:
        text = formatting.estimate(entry.estimate, unit)
        if entry.at_chance:
            text += "†"
        if entry.lost:
            text += "!"
        return text
    if entry.reason in notes and entry.kind == "n/a":
        return f"n/a [{notes[entry.reason]}]"
    if entry.kind == "missing":
        return "–"
    return entry.kind


def _arrow(column: Column) -> str:
    return "↑" if column.higher_is_better else "↓"
