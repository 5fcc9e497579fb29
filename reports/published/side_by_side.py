"""Ours beside the paper's, row by row: each published row, and under it what was run here of it, with its interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..statistics import estimate
from ..tables.matrix import Matrix, Row, scores_of
from ..tables.published import Line, Shown, SideBySide, same_name

Naming = Callable[[Row], str]
"""What a row of ours is called."""


def beside(
    block: SideBySide, matrix: Matrix, tasks: Mapping[str, Sequence[str]], name_of: Naming, who_of: Naming
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
    places = [place for place, (task, _) in enumerate(block.columns) if tasks.get(task)]
    columns = tuple(block.columns[place] for place in places)
    counts = Counter(task for task, _ in block.columns)
    ours: dict[str, list[Line]] = {}
    for row in matrix.rows:
        scores = (_score(matrix, row, tasks[task], metric if counts[task] > 1 else "") for task, metric in columns)
        ours.setdefault(name_of(row), []).append(Line(who_of(row), name_of(row), tuple(scores)))
    lines = []
    for line in block.lines:
        lines.append(replace(line, values=tuple(line.values[place] for place in places)))
        lines += ours.pop(line.name, [])
    for left in ours.values():
        lines += left
    return replace(block, columns=columns, lines=tuple(lines))


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
