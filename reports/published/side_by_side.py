"""Ours beside the paper's, row by row: each published row, and under it what was run here of it, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..statistics import Estimate, estimate
from ..tables import formatting
from ..tables.matrix import Matrix, Row, scores_of
from ..tables.published import MISSING, PublishedTable, same_name

PAPER = "paper"
Naming = Callable[[Row], str]
"""What a row of ours is called."""


@dataclass(frozen=True)
class Shown:
    """A score of ours with its interval, as it is printed and as numbers in the printed unit."""

    estimate: Estimate
    unit: str

    @property
    def text(self) -> str:
        """Mean ± half width."""
        return formatting.estimate(self.estimate, self.unit)

    def numbers(self) -> dict[str, float | str | None]:
        """For programs."""
        scale = formatting.scale(self.unit)
        low, high = self.estimate.low, self.estimate.high
        return {
            "value": scale * self.estimate.mean,
            "low": None if low is None else scale * low,
            "high": None if high is None else scale * high,
            "unit": formatting.shown_unit(self.unit),
        }


@dataclass(frozen=True)
class Line:
    """One row: whose it is, what it is called, and a published text or a score of ours for each column."""

    who: str
    name: str
    values: tuple[str | Shown | None, ...]

    @property
    def texts(self) -> list[str]:
        """What is printed."""
        return [value.text if isinstance(value, Shown) else value or MISSING for value in self.values]


@dataclass(frozen=True)
class SideBySide:
    """One block of a table. `columns` are pairs of task and metric."""

    source: str
    columns: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


def beside(
    block: PublishedTable, matrix: Matrix, tasks: Mapping[str, Sequence[str]], name_of: Naming, who_of: Naming
) -> SideBySide:
    """Published rows with ours under them; ours that have no counterpart stand at the end.

    Args:
        block: the published figures.
        matrix: records of ours.
        tasks: published tasks to ours; the mean of several of ours stands for one of theirs.
        name_of: which published row a row of ours is.
        who_of: whose a row of ours is said to be.

    Returns:
        The block, with the published columns that have a counterpart here.
    """
    columns = [column for column in zip(block.tasks, block.metrics, strict=True) if tasks.get(column[0])]
    places = [place for place, task in enumerate(block.tasks) if tasks.get(task)]
    several = {task for task, _ in columns if block.tasks.count(task) > 1}
    ours: dict[str, list[Line]] = {}
    for row in matrix.rows:
        values = tuple(_score(matrix, row, tasks[task], metric if task in several else "") for task, metric in columns)
        ours.setdefault(name_of(row), []).append(Line(who_of(row), name_of(row), values))
    lines = []
    for method, texts in zip(block.methods, block.values, strict=True):
        lines.append(Line(PAPER, method, tuple(texts[place] for place in places)))
        lines += ours.pop(method, [])
    for left in ours.values():
        lines += left
    return SideBySide(block.source, tuple(columns), tuple(lines))


def theirs(block: PublishedTable) -> SideBySide:
    """The published rows alone."""
    lines = tuple(Line(PAPER, name, row) for name, row in zip(block.methods, block.values, strict=True))
    return SideBySide(block.source, tuple(zip(block.tasks, block.metrics, strict=True)), lines)


def alone(matrix: Matrix, name_of: Naming, who_of: Naming) -> SideBySide:
    """Ours where nobody can read the paper's: every metric of every task."""
    columns = tuple(dict.fromkeys(_metrics(matrix)))
    lines = []
    for row in matrix.rows:
        values = tuple(_score(matrix, row, (task,), metric, in_unit=True) for task, metric in columns)
        lines.append(Line(who_of(row), name_of(row), values))
    return SideBySide("", columns, tuple(lines))


def _metrics(matrix: Matrix) -> Iterator[tuple[str, str]]:
    for (_, column), records in matrix.cells.items():
        for record in records:
            yield from ((column.task, name) for name in record.metrics)


def _score(matrix: Matrix, row: Row, tasks: Sequence[str], metric: str, in_unit: bool = False) -> Shown | None:
    """The mean over our tasks of their main metrics, or a named metric of one task; None unless all have a score."""
    columns = [column for column in matrix.columns if column.task in tasks]
    if len(columns) < len(tasks):
        return None
    if not metric:
        return Shown(matrix.mean(row, columns), columns[0].unit) if matrix.complete(row, columns) else None
    records = matrix.cells.get((row, columns[0]), [])
    names = {name for record in records for name in record.metrics if same_name(name, metric)}
    for name in sorted(names):
        scores = scores_of(records, name, matrix.examples)
        units = {record.metrics[name].unit for record in records if name in record.metrics}
        # A paper that says 0.85 of what is stored as a fraction is read next to 0.85, not next to 85 %.
        unit = units.pop() if in_unit or "%" in metric else ""
        return Shown(estimate(list(scores.values())), unit)
    return None
