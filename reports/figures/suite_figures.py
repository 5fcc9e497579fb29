"""Which figures the page shows for a suite: a bounded number, however many records there are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import filterfalse

from ..mixing.curves import is_of_mixing
from ..records.index.slim import Whole, already_whole
from ..records.record import Costs, Record
from ..routers.health import is_of_routers
from ..statistics import estimate_mean
from ..tables import formatting
from ..tables.matrix import Column, Matrix
from ..tables.suite_entries import Family, SuiteTable
from . import Figure, plots
from .plots import Mark

_COSTS: dict[str, tuple[Callable[[Costs], float | None], float]] = {
    "active parameters (M)": (lambda costs: costs.params_active, 1e-6),
    "size on disk (MB)": (lambda costs: costs.bytes, 1e-6),
    "latency (ms)": (lambda costs: costs.latency_ms, 1.0),
}
"""Cost axes: label, where it comes from, and what it is multiplied with to get that unit."""
MAX_FAMILIES = 3
MAX_BARS = 6
MAX_CURVES = 4
MAX_LINES = 10


@dataclass(frozen=True)
class SuiteFigures:
    """The figures of a suite, and what was excluded. `equal_costs`: costs that are the same for all rows."""

    tradeoffs: tuple[Figure, ...]
    equal_costs: tuple[str, ...]
    bars: tuple[Figure, ...]
    curves: tuple[Figure, ...]
    tasks_excluded: int
    rows_excluded: int


def suite_figures(matrix: Matrix, table: SuiteTable, whole: Whole = already_whole) -> SuiteFigures:
    """Trade-offs for the largest families, bars per task, training curves. `whole` reads the curves of slim records."""
    costs = {
        line.row: {name: matrix.cost(line.row, quantity) for name, (quantity, _) in _COSTS.items()}
        for line in table.lines
    }
    equal = [name for name in _COSTS if _equal([row[name] for row in costs.values()])]
    families = sorted((f for f in table.families if f.columns[0].metric), key=lambda f: len(f.columns), reverse=True)
    axes = [name for name in _COSTS if name not in equal]
    tradeoffs = [
        figure
        for rank, family in enumerate(families[:MAX_FAMILIES])
        for name in (axes if rank == 0 else axes[:1])
        if (figure := _tradeoff(matrix, table, family, name))
    ]
    columns = [column for column in table.columns if column.metric]
    bars = [_bars(table, column) for column in columns[:MAX_BARS]]
    return SuiteFigures(
        tuple(tradeoffs),
        tuple(equal),
        tuple(bars),
        tuple(_curves(matrix, table, whole)),
        max(0, len(columns) - MAX_BARS),
        max(0, len(table.lines) - plots.MAX_MARKS),
    )


def _equal(costs: Sequence[float | None]) -> bool:
    """Whether a cost is known and the same, to a thousandth, for all rows that have it."""
    known = [cost for cost in costs if cost]
    return len(known) > 1 and max(known) <= 1.001 * min(known)


def _tradeoff(matrix: Matrix, table: SuiteTable, family: Family, cost: str) -> Figure | None:
    """Quality on one family of tasks against one cost; None if fewer than two rows have both."""
    quantity, factor = _COSTS[cost]
    columns, first = family.columns, family.columns[0]
    marks = _marks(matrix, table, columns, quantity, factor)
    if len(marks) < 2:
        return None
    name = f"mean {family.title}" if len(columns) > 1 else first.task
    title = f"{name} against {cost.partition(' (')[0]}"
    svg = plots.tradeoff(marks, title, cost, _axis(name, first), first.higher_is_better)
    return Figure(title, svg)


def _marks(
    matrix: Matrix,
    table: SuiteTable,
    family: Sequence[Column],
    quantity: Callable[[Costs], float | None],
    factor: float,
) -> list[Mark]:
    scale = formatting.scale(family[0].unit)
    marks = []
    for number, line in enumerate(table.lines, start=1):
        cost = matrix.cost(line.row, quantity)
        if cost and matrix.complete(line.row, family):
            mean = estimate_mean([list(matrix.scores(line.row, column).values()) for column in family]).scaled(scale)
            marks.append(Mark(number, line.name, mean.mean, mean.sides, factor * cost))
    return marks


def _bars(table: SuiteTable, column: Column) -> Figure:
    scale = formatting.scale(column.unit)
    place = table.columns.index(column)
    marks = []
    for number, line in enumerate(table.lines, start=1):
        value = line.entries[place].estimate
        if value is not None:
            shown = value.scaled(scale)
            marks.append(Mark(number, line.name, shown.mean, shown.sides))
    chance = None if column.chance is None else scale * column.chance
    said = []
    if column.chance is not None:
        shown_chance = formatting.number(column.chance, column.unit)
        said.append(f"Dashed: chance, {shown_chance} {formatting.shown_unit(column.unit)}.")
    if column in table.captions:
        said.append(table.captions[column])
    return Figure(column.task, plots.bars(marks, column.task, _axis(column.metric, column), chance), " ".join(said))


def _curves(matrix: Matrix, table: SuiteTable, whole: Whole) -> list[Figure]:
    """Mean over seeds per method; the curves of the first tasks that have some."""
    numbers = {line.row: number for number, line in enumerate(table.lines[:MAX_LINES], start=1)}
    having: dict[tuple[str, str], list[tuple[int, Record]]] = defaultdict(list)
    for (row, column), records in matrix.cells.items():
        if row not in numbers:
            continue
        for record in records:
            for name in filterfalse(_is_drawn_elsewhere, record.curves):
                having[column.task, name].append((numbers[row], record))
    figures = []
    for (task, name), members in sorted(having.items(), key=lambda item: item[0]):
        by_number: dict[int, list[list[tuple[float, float]]]] = defaultdict(list)
        for number, record in members:
            points = whole(record).curves[name]
            if len(points) > 1:
                by_number[number].append(points)
        if by_number:
            lines = [(Mark(number, "", 0.0), _mean_curve(seeds)) for number, seeds in sorted(by_number.items())]
            title = f"{task}: {name}"
            figures.append(Figure(title, plots.curves(lines, title, name)))
        if len(figures) == MAX_CURVES:
            break
    return figures


def _is_drawn_elsewhere(name: str) -> bool:
    """Whether a panel of its own draws the curve."""
    return is_of_routers(name) or is_of_mixing(name)


def _mean_curve(seeds: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    values: dict[float, list[float]] = defaultdict(list)
    for points in seeds:
        for step, value in points:
            values[step].append(value)
    return [(step, math.fsum(v) / len(v)) for step, v in sorted(values.items()) if len(v) == len(seeds)] or list(
        seeds[0]
    )


def _axis(name: str, column: Column) -> str:
    unit = formatting.shown_unit(column.unit)
    unit = f" ({unit})" if unit and unit != name else ""
    return f"{name}{unit} {'↑' if column.higher_is_better else '↓'}"
