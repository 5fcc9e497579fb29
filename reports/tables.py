"""The comparison table of a suite: rows are methods, columns are tasks, then averages, then costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from .matrix import Column, Matrix, Row, pairs
from .record import Costs, Record
from .statistics import Estimate, at_chance, difference, estimate, estimate_mean, vtab_averages

Kind = Literal["value", "n/a", "failed", "oom", "timeout", "missing"]
COSTS: tuple[tuple[str, str, Callable[[Costs], float | None]], ...] = (
    ("active params", "count", lambda costs: costs.params_active),
    ("trained params", "count", lambda costs: costs.params_trainable),
    ("size", "size", lambda costs: costs.bytes),
    ("size / task", "size", lambda costs: costs.bytes_trained),
    ("latency / {unit}", "milliseconds", lambda costs: costs.latency_ms),
    ("{unit}s/s", "count", lambda costs: 1e3 / costs.latency_ms if costs.latency_ms else None),
    ("speed / {baseline}", "times", lambda costs: 1e3 / costs.latency_ms if costs.latency_ms else None),
)
"""Cost columns: title, the function of `formatting` that prints it, and where it comes from. The last one, the speed,
is divided by that of the baseline on the same backbone."""


@dataclass(frozen=True)
class Family:
    """Tasks whose scores may be averaged; `title` says of what, `baseline` is the row that others are compared with."""

    columns: tuple[Column, ...]
    title: str
    baseline: str


@dataclass(frozen=True, kw_only=True)
class SuiteInfo:
    """How a suite is presented. `baseline` is the row label that the others are compared with, `unit` that of costs.

    `group_baselines`: the baseline of a group of tasks where it is another one. Such a group is a family of its own.
    """

    title: str
    description: str
    baseline: str
    unit: str
    group_baselines: Mapping[str, str] = field(default_factory=dict)

    def baselines(self, matrix: Matrix) -> list[str]:
        """The baselines of the tasks that are there, that of the suite first."""
        found = dict.fromkeys(family.baseline for family in self.families(matrix))
        return sorted(found, key=lambda label: label != self.baseline)

    def families(self, matrix: Matrix) -> list[Family]:
        """Families of the matrix, apart by the groups that have a baseline of their own."""
        found: dict[tuple[int, str], list[Column]] = {}
        for number, columns in enumerate(matrix.families):
            for column in columns:
                own = column.group if column.group in self.group_baselines else ""
                found.setdefault((number, own), []).append(column)
        return [
            Family(
                tuple(columns), f"{own} {family_title(columns)}".strip(), self.group_baselines.get(own, self.baseline)
            )
            for (_, own), columns in found.items()
        ]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One score in the table, or why there is none.

    `best`: cannot be told from the best of its column. `lost`: seeds that failed while others went well.
    """

    kind: Kind
    estimate: Estimate | None = None
    best: bool = False
    at_chance: bool = False
    lost: int = 0
    reason: str | None = None
    ids: tuple[str, ...] = ()


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
    entries: tuple[Entry, ...]
    averages: tuple[Entry, ...]
    costs: tuple[float | None, ...]


@dataclass(frozen=True)
class SuiteTable:
    """The comparison table, independent of how it is printed."""

    title: str
    columns: tuple[Column, ...]
    families: tuple[Family, ...]
    averages: tuple[Average, ...]
    cost_titles: tuple[str, ...]
    lines: tuple[Line, ...]


def suite_table(matrix: Matrix, info: SuiteInfo) -> SuiteTable:
    """The table of one suite: the baselines first, then by mean rank over the tasks."""
    families = info.families(matrix)
    averages = _averages(families)
    labels = info.baselines(matrix)
    rows = _ordered(matrix, labels)
    entries = {(row, column): _entry(matrix, row, column) for row in rows for column in matrix.columns}
    for column in matrix.columns:
        clear = [row for row in rows if entries[row, column].kind == "value" and not entries[row, column].at_chance]
        for row in _best(matrix, clear, [column]):
            entries[row, column] = replace(entries[row, column], best=True)
    means = {(row, average): _average_entry(matrix, row, average) for row in rows for average in averages}
    for average in averages:
        if not average.of_groups:
            candidates = [row for row in rows if means[row, average].kind == "value"]
            for row in _best(matrix, candidates, average.columns):
                means[row, average] = replace(means[row, average], best=True)
    lines = [
        Line(
            row,
            row_name(matrix, row),
            tuple(entries[row, column] for column in matrix.columns),
            tuple(means[row, average] for average in averages),
            _costs(matrix, row, labels),
        )
        for row in rows
    ]
    titles = tuple(title.format(unit=info.unit, baseline=" or ".join(labels)) for title, _, _ in COSTS)
    return SuiteTable(info.title, tuple(matrix.columns), tuple(families), averages, titles, tuple(lines))


def _costs(matrix: Matrix, row: Row, labels: Sequence[str]) -> tuple[float | None, ...]:
    *costs, speed = [matrix.cost(row, quantity) for _, _, quantity in COSTS]
    known = [matrix.baseline(label, row) for label in labels]
    references = [matrix.cost(b, COSTS[-1][2]) for b in known if b is not None and b.backbone == row.backbone]
    reference = next((cost for cost in references if cost), None)
    return (*costs, speed / reference if speed and reference else None)


def row_name(matrix: Matrix, row: Row) -> str:
    """The label, with the backbone and the variant where these are needed to tell rows apart."""
    name = row.label
    if len({r.backbone for r in matrix.rows}) > 1 and row.backbone:
        name += f" · {row.backbone}"
    return name + (f" · {row.variant}" if row.variant else "")


def family_title(columns: Sequence[Column]) -> str:
    """What an average over these columns is called: the common metric, or just score, and the unit."""
    metrics = {column.metric for column in columns}
    return metrics.pop() if len(metrics) == 1 else "score"


def _entry(matrix: Matrix, row: Row, column: Column) -> Entry:
    records = matrix.cells.get((row, column), [])
    scores = matrix.scores(row, column)
    ids = tuple(record.id for record in records)
    if scores:
        value = estimate(list(scores.values()))
        chance = at_chance(value, column.chance, column.higher_is_better)
        bad = [record for record in records if record.status != "ok"]
        return Entry(
            kind="value",
            estimate=value,
            at_chance=chance,
            lost=len(bad),
            ids=ids,
            reason=bad[0].reason if bad else None,
        )
    return Entry(kind=_kind(records), reason=records[0].reason if records else None, ids=ids)


def _kind(records: Sequence[Record]) -> Kind:
    """The worst that happened: a failure is told before an "n/a"."""
    statuses = {record.status for record in records}
    order: tuple[Kind, ...] = ("failed", "oom", "timeout", "n/a")
    return next((kind for kind in order if kind in statuses), "missing")  # pyright: ignore[reportReturnType]


def _averages(families: Sequence[Family]) -> tuple[Average, ...]:
    averages = []
    for family in families:
        columns = family.columns
        if len(columns) < 2 or not all(column.metric for column in columns):
            continue
        averages.append(Average(f"mean {family.title}", columns, of_groups=False))
        if 1 < len({column.group for column in columns}) < len(columns):
            averages.append(Average("mean of groups", columns, of_groups=True))
    return tuple(averages)


def _average_entry(matrix: Matrix, row: Row, average: Average) -> Entry:
    """An average needs every task: one over fewer tasks would be of another thing."""
    scores = [list(matrix.scores(row, column).values()) for column in average.columns]
    if not all(scores):
        return Entry(kind="missing", reason="not all tasks have a score")
    ids = tuple(r.id for column in average.columns for r in matrix.cells[row, column])
    if not average.of_groups:
        return Entry(kind="value", estimate=estimate_mean(scores), ids=ids)
    keys = [f"{column.task}@{column.version}" for column in average.columns]
    means = {key: math.fsum(s.value for s in seeds) / len(seeds) for key, seeds in zip(keys, scores, strict=True)}
    groups = {key: column.group for key, column in zip(keys, average.columns, strict=True)}
    return Entry(kind="value", estimate=Estimate(vtab_averages(means, groups)[1], None, len(keys), "none"), ids=ids)


def _best(matrix: Matrix, rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Per variant: the row with the best mean, and those that the paired test cannot tell from it."""
    best = []
    for variant in dict.fromkeys(row.variant for row in rows):
        members = [row for row in rows if row.variant == variant]
        if len(members) < 2:
            continue
        means = {row: estimate_mean([list(matrix.scores(row, c).values()) for c in columns]).mean for row in members}
        choose = max if columns[0].higher_is_better else min
        winner = choose(members, key=lambda row: means[row])
        best += [row for row in members if means[row] == means[winner] or _tied(matrix, winner, row, columns)]
    return best


def _tied(matrix: Matrix, winner: Row, row: Row, columns: Sequence[Column]) -> bool:
    pairings = [pairs(matrix.scores(winner, column), matrix.scores(row, column)) for column in columns]
    return all(pairings) and difference(pairings, columns[0].higher_is_better).verdict == "same"


def _ordered(matrix: Matrix, baselines: Sequence[str]) -> list[Row]:
    ranks: dict[Row, list[float]] = {row: [] for row in matrix.rows}
    for column in matrix.columns:
        means = {row: _mean(matrix, row, column) for row in matrix.rows}
        known = {row: value for row, value in means.items() if value is not None}
        ordered = sorted(known, key=lambda row: known[row], reverse=column.higher_is_better)
        for rank, row in enumerate(ordered):
            ranks[row].append(rank)
    mean_rank = {row: sum(r) / len(r) if r else math.inf for row, r in ranks.items()}
    return sorted(matrix.rows, key=lambda row: (row.label not in baselines, mean_rank[row], row))


def _mean(matrix: Matrix, row: Row, column: Column) -> float | None:
    scores = matrix.scores(row, column)
    return math.fsum(score.value for score in scores.values()) / len(scores) if scores else None
