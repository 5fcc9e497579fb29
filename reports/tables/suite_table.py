"""The comparison table of a suite: rows are methods, columns are tasks, then averages, then costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from statistics import fmean
from typing import Any, cast

from ..records.record import Link, Record
from ..statistics import Estimate, Outcome, at_chance, difference, estimate
from .cost_columns import cost_titles, costs_of, training_columns, training_of
from .matrix import Column, Matrix, Row
from .random_features import random_feature_captions
from .suite_entries import RIVALS, Average, Entry, Family, Kind, Line, Role, SuiteTable

TIED = ("undecided", "one seed", "equivalent", "identical")
PROBE = "linear_probe"
RANDOM_FEATURES = "random_features"
"""The methods of random features: of a network of random weights, and of one whose weights are drawn anew."""


@dataclass(frozen=True, kw_only=True)
class SuiteInfo:
    """How a suite is presented. `baseline` is the row label that the others are compared with, `unit` that of costs.

    A plan may name other baselines: its rows with the role "baseline" stand for it on the tasks that they ran on.

    `group_baselines`: the baseline of a group of tasks where it is another one. Such a group is a family of its own.
    `controls`: method to the configurations that make it a control (a random choice). `roles`: method to the role that
    it always has alone; as a step of a chain it has none. Controls and ceilings are never the best of a column.
    `deployed`: method to the configuration in which its costs are of a compact form, made after training.
    `margins`: unit to the difference that counts as none. `random_weights`: backbones whose weights are random unless
    their name has a file ("name:network@file"). A linear probe of one of them is a control.
    """

    title: str
    description: str
    baseline: str
    unit: str
    group_baselines: Mapping[str, str] = field(default_factory=dict)
    controls: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    deployed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    random_weights: frozenset[str] = frozenset()

    def role(self, matrix: Matrix, row: Row) -> Role:
        """What a row is there for: as the plan says it, else by its method."""
        given = matrix.roles.get(row.label)
        if given is not None:
            return cast("Role", given)
        if self.is_random_features(matrix, row):
            return "control"
        if row.label in self.baselines(matrix):
            return "baseline"
        links = matrix.record_of(row).cell.links
        alone = len(links) == 1
        if alone and links[0].method in self.roles:
            return self.roles[links[0].method]
        # A chain with one step that has lost its idea has lost what the chain was to show.
        if any(self._is_control(link, alone) for link in links):
            return "control"
        return "method"

    def is_pretrained(self, row: Row) -> bool:
        """Whether the row starts from weights that somebody trained."""
        name, _, argument = row.backbone.partition(":")
        return name not in self.random_weights or "@" in argument

    def is_random_features(self, matrix: Matrix, row: Row) -> bool:
        """Whether the row is a linear probe, and nothing else, on random weights."""
        links = matrix.record_of(row).cell.links
        if len(links) != 1:
            return False
        return links[0].method == RANDOM_FEATURES or (links[0].method == PROBE and not self.is_pretrained(row))

    def is_deployed(self, matrix: Matrix, row: Row) -> bool:
        """Whether the costs of a row are those of a compact form."""
        links = matrix.record_of(row).cell.links
        found = [(self.deployed[link.method], link.config) for link in links if link.method in self.deployed]
        return any(config.items() <= has.items() for config, has in found)

    def _is_control(self, link: Link, alone: bool) -> bool:
        """Whether a configuration makes a control; the empty one stands for all, but not for a step of a chain."""
        configs = self.controls.get(link.method, ())
        return any(config.items() <= link.config.items() for config in configs if config or alone)

    def baselines(self, matrix: Matrix) -> list[str]:
        """The baselines of the tasks that are there, that of the suite first."""
        found = dict.fromkeys(chain.from_iterable(family.baselines for family in self.families(matrix)))
        return sorted(found, key=lambda label: label != self.baseline)

    def families(self, matrix: Matrix) -> list[Family]:
        """Families of the matrix, apart by the groups that have a baseline of their own."""
        found: dict[tuple[int, str], list[Column]] = {}
        for number, columns in enumerate(matrix.families):
            for column in columns:
                own = column.group if column.group in self.group_baselines else ""
                found.setdefault((number, own), []).append(column)
        families = []
        for (_, own), columns in found.items():
            title = f"{own} {family_title(columns)}".strip()
            baselines = _named_baselines(matrix, columns) or (self.group_baselines.get(own, self.baseline),)
            families.append(Family(tuple(columns), title, baselines))
        return families


def _named_baselines(matrix: Matrix, columns: Sequence[Column]) -> tuple[str, ...]:
    """The rows that the plan calls baselines, of those with a score on one of these tasks."""
    named = [label for label, role in matrix.roles.items() if role == "baseline"]
    # Asked for with each row of a table: most plans name none, and then no row is looked at.
    rows = [row for row in matrix.rows if row.label in named]
    scored = {row.label for row in rows if any(matrix.scores(row, column) for column in columns)}
    return tuple(label for label in named if label in scored)


def suite_table(matrix: Matrix, info: SuiteInfo) -> SuiteTable:
    """The table of one suite: the baselines first, then by mean rank over the tasks."""
    families = info.families(matrix)
    averages = _averages(families)
    labels = info.baselines(matrix)
    found: dict[Row, Role] = {row: info.role(matrix, row) for row in matrix.rows}
    roles: dict[Row, Role] = {row: found[row] for row in _ordered(matrix, found)}
    rivals = [row for row, role in roles.items() if role in RIVALS]
    scores = {column: _column_entries(matrix, column, roles, rivals) for column in matrix.columns}
    means = {average: _average_entries(matrix, average, roles, rivals) for average in averages}
    lines = []
    for row, role in roles.items():
        line = Line(
            row=row,
            name=row_name(matrix, row),
            role=role,
            entries=tuple(scores[column][row] for column in matrix.columns),
            averages=tuple(means[average][row] for average in averages),
            costs=costs_of(matrix, row, labels),
            training=training_of(matrix, row),
        )
        lines.append(line)
    return SuiteTable(
        title=info.title,
        columns=tuple(matrix.columns),
        families=tuple(families),
        averages=averages,
        cost_titles=cost_titles(matrix, info.unit, labels),
        processors=matrix.processors,
        deployed=tuple(line.shown_name for line in lines if info.is_deployed(matrix, line.row)),
        lines=tuple(lines),
        training_titles=tuple(column.title for column in training_columns(matrix)),
        captions=_captions(matrix, info, rivals),
    )


def _captions(matrix: Matrix, info: SuiteInfo, rivals: Sequence[Row]) -> dict[Column, str]:
    """What random features say of each task."""
    controls = [row for row in matrix.rows if info.is_random_features(matrix, row)]
    names = {row: row_name(matrix, row) for row in matrix.rows}
    return random_feature_captions(matrix, [row for row in rivals if info.is_pretrained(row)], controls, names)


def _column_entries(matrix: Matrix, column: Column, rows: Iterable[Row], rivals: Sequence[Row]) -> dict[Row, Entry]:
    """One task of every row; of the rivals that are clear of chance the best are marked."""
    entries = {row: _entry(matrix, row, column) for row in rows}
    clear = [row for row in rivals if entries[row].kind == "value" and not entries[row].at_chance]
    return _with_best(entries, _best(matrix, clear, [column]))


def _average_entries(matrix: Matrix, average: Average, rows: Iterable[Row], rivals: Sequence[Row]) -> dict[Row, Entry]:
    """One average of every row; the mean of group means has no test that could say which are best."""
    entries = {row: _average_entry(matrix, row, average) for row in rows}
    if average.of_groups:
        return entries
    complete = [row for row in rivals if entries[row].kind == "value"]
    return _with_best(entries, _best(matrix, complete, average.columns))


def _with_best(entries: Mapping[Row, Entry], best: Iterable[Row]) -> dict[Row, Entry]:
    return dict(entries) | {row: replace(entries[row], best=True) for row in best}


def row_name(matrix: Matrix, row: Row) -> str:
    """The label, with the backbone and the variant where rows differ in these."""
    name = row.label
    if len(matrix.backbones) > 1 and row.backbone:
        name += f" · {row.backbone}"
    if row.variant:
        name += f" · {row.variant}"
    return name


def family_title(columns: Sequence[Column]) -> str:
    """What an average over these columns is called: the common metric, or just score, and the unit."""
    metrics = {column.metric for column in columns}
    return metrics.pop() if len(metrics) == 1 else "score"


def _entry(matrix: Matrix, row: Row, column: Column) -> Entry:
    records = matrix.cells.get((row, column), [])
    scores = matrix.scores(row, column)
    reasons = [record.reason for record in records if record.status != "ok"]
    reason = next(iter(reasons), None)
    if not scores:
        return Entry(kind=_kind(records), reason=reason)
    value = estimate(list(scores.values()))
    return Entry(
        kind="value",
        estimate=value,
        at_chance=at_chance(value, column.chance, column.higher_is_better),
        lost=len(reasons),
        reason=reason,
    )


def _kind(records: Sequence[Record]) -> Kind:
    """The worst that happened: a failure is told before an "n/a"."""
    statuses = {record.status for record in records}
    order: tuple[Kind, ...] = ("failed", "oom", "timeout", "n/a")
    for kind in order:
        if kind in statuses:
            return kind
    return "missing"


def _averages(families: Sequence[Family]) -> tuple[Average, ...]:
    averages = []
    for family in families:
        columns = family.columns
        if len(columns) < 2 or not all(column.metric for column in columns):
            continue
        averages.append(Average(f"mean {family.title}", columns, of_groups=False))
        # One group, or each task a group of its own: the mean of the groups is the mean of the tasks.
        if 1 < len({column.group for column in columns}) < len(columns):
            averages.append(Average("mean of groups", columns, of_groups=True))
    return tuple(averages)


def _average_entry(matrix: Matrix, row: Row, average: Average) -> Entry:
    """An average needs every task: one over fewer tasks would be of another thing."""
    if not matrix.complete(row, average.columns):
        return Entry(kind="missing", reason="not all tasks have a score")
    mean = matrix.mean(row, average.columns)
    if average.of_groups:
        mean = _mean_of_groups(matrix, row, average.columns)
    return Entry(kind="value", estimate=mean)


def _mean_of_groups(matrix: Matrix, row: Row, columns: Sequence[Column]) -> Estimate:
    groups: dict[str, list[float]] = {}
    for column in columns:
        groups.setdefault(column.group, []).append(matrix.mean(row, [column]).mean)
    return Estimate(fmean(map(fmean, groups.values())), None, len(columns), "none")


def _best(matrix: Matrix, rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Per variant: the row with the best mean, and those that the paired test cannot distinguish from it.

    Corrected over the rivals. The best one is among them whatever is known of its own interval; none where no row can
    be distinguished from it.
    """
    best: list[Row] = []
    for variant in dict.fromkeys(row.variant for row in rows):
        members = [row for row in rows if row.variant == variant]
        winner = matrix.best(members, columns)
        if winner is None:
            continue
        others = [row for row in members if row != winner]
        leads = [_lead(matrix, winner, row, columns, len(others)) for row in others]
        # A column in which all rows are alike has no best one: bold everywhere would say nothing.
        if "better" in leads:
            tied = [row for row, lead in zip(others, leads, strict=True) if lead in TIED]
            best += [winner, *tied]
    return best


def _lead(matrix: Matrix, winner: Row, row: Row, columns: Sequence[Column], rivals: int) -> Outcome | None:
    """Whether the winner is ahead of another row, as one of several comparisons; None without pairs on each task."""
    pairings = matrix.paired(winner, row, columns)
    if len(pairings) < len(columns):
        return None
    return difference(pairings, columns[0].higher_is_better).corrected(rivals).outcome


def _ordered(matrix: Matrix, roles: Mapping[Row, Role]) -> list[Row]:
    """The baselines first, then by mean rank over the tasks that a row has."""
    # Ranks, since the means of tasks in other units have no mean.
    ranks: dict[Row, list[int]] = {row: [] for row in matrix.rows}
    for column in matrix.columns:
        scored = [row for row in matrix.rows if matrix.scores(row, column)]
        means = {row: matrix.mean(row, [column]).mean for row in scored}
        ordered = sorted(means, key=lambda row: means[row], reverse=column.higher_is_better)
        for rank, row in enumerate(ordered):
            ranks[row].append(rank)

    def place(row: Row) -> tuple[bool, float, Row]:
        mean_rank = math.inf
        if ranks[row]:
            mean_rank = sum(ranks[row]) / len(ranks[row])
        return roles[row] != "baseline", mean_rank, row

    return sorted(matrix.rows, key=place)
