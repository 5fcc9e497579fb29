"""The records of one suite as a matrix of rows (method label × backbone) and columns (tasks)."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .dataframe import canonical
from .record import Costs, Record, TrainingCosts
from .statistics import Score


@dataclass(frozen=True, order=True)
class Row:
    """A row of the tables. `variant` says which budget or dtype it is, where a task was run under several."""

    label: str
    backbone: str
    variant: str = ""


@dataclass(frozen=True)
class Column:
    """A task and what its main metric means. Columns of one `family` may be averaged."""

    task: str
    version: str
    group: str
    metric: str
    unit: str
    higher_is_better: bool
    chance: float | None

    @property
    def family(self) -> tuple[str, bool, str]:
        """Same unit, same direction; a column without a unit is a family of its own."""
        return self.unit, self.higher_is_better, "" if self.unit else f"{self.task}@{self.version}"


@dataclass
class Matrix:
    """All records of one suite at one version, by row and column. The order is that of first appearance."""

    suite: str
    version: str
    records: list[Record]
    rows: list[Row] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    cells: dict[tuple[Row, Column], list[Record]] = field(default_factory=lambda: defaultdict(list))

    def scores(self, row: Row, column: Column) -> dict[int, Score]:
        """Seed to score of the main metric, over the records that went well."""
        found = {}
        for record in self.cells.get((row, column), ()):
            metric = record.metrics.get(column.metric) if record.status == "ok" else None
            if metric is not None:
                found[record.cell.seed] = Score(metric.value, metric.stderr)
        return found

    def record_of(self, row: Row) -> Record:
        """The first record of a row: what its method is."""
        return next(records[0] for (other, _), records in self.cells.items() if other == row and records)

    def complete(self, row: Row, columns: Iterable[Column]) -> bool:
        """Whether the row has a score in each of the columns."""
        return all(self.scores(row, column) for column in columns)

    @cached_property
    def families(self) -> list[list[Column]]:
        """Columns that may be averaged with each other, in order."""
        families: dict[tuple[str, bool, str], list[Column]] = {}
        for column in self.columns:
            families.setdefault(column.family, []).append(column)
        return list(families.values())

    def baseline(self, label: str, row: Row) -> Row | None:
        """The baseline's row to compare `row` with: same backbone and variant, or the only one of that variant."""
        candidates = [r for r in self.rows if r.label == label and r.variant == row.variant]
        same = [r for r in candidates if r.backbone == row.backbone]
        if same:
            return same[0]
        return candidates[0] if len(candidates) == 1 else None

    def cost(self, row: Row, quantity: Callable[[Costs], float | None]) -> float | None:
        """Median of one cost over the row's records, or None if nobody measured it."""
        found = [quantity(costs) for costs in self._costs.get(row, ())]
        known = [value for value in found if value is not None]
        return statistics.median(known) if known else None

    def training_cost(self, row: Row, quantity: Callable[[TrainingCosts], float | None]) -> float | None:
        """Median of one cost of training over the row's records, or None if nobody measured it."""
        found = [quantity(costs) for costs in self._training.get(row, ())]
        known = [value for value in found if value is not None]
        return statistics.median(known) if known else None

    @cached_property
    def _costs(self) -> dict[Row, list[Costs]]:
        costs: dict[Row, list[Costs]] = defaultdict(list)
        for (row, _), records in self.cells.items():
            costs[row] += [record.costs for record in records if record.costs is not None]
        return costs

    @cached_property
    def _training(self) -> dict[Row, list[TrainingCosts]]:
        costs: dict[Row, list[TrainingCosts]] = defaultdict(list)
        for (row, _), records in self.cells.items():
            costs[row] += [record.training for record in records if record.training is not None]
        return costs


def matrices(records: Sequence[Record]) -> list[Matrix]:
    """One matrix per suite and version, in the order of their names."""
    by_suite: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        by_suite[record.cell.suite, record.cell.suite_version].append(record)
    return [_matrix(suite, version, members) for (suite, version), members in sorted(by_suite.items())]


def pairs(ours: dict[int, Score], theirs: dict[int, Score]) -> list[tuple[Score, Score]]:
    """Pairs of one seed each; a side with one record only (deterministic) is paired with every seed of the other."""
    if len(theirs) == 1:
        return [(score, next(iter(theirs.values()))) for score in ours.values()]
    if len(ours) == 1:
        return [(next(iter(ours.values())), score) for score in theirs.values()]
    return [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]


def setting(record: Record) -> dict[str, str]:
    """What must be equal for two results of one task to be comparable, in addition to the versions."""
    return {key: canonical(value) for key, value in record.cell.budget.items()} | {"dtype": record.cell.dtype}


def _matrix(suite: str, version: str, records: list[Record]) -> Matrix:
    matrix = Matrix(suite, version, records)
    varying = _varying(records)
    columns = _columns(records)
    rows: dict[Row, None] = {}
    for record in records:
        cell = record.cell
        row = Row(cell.label, cell.backbone, _variant(record, varying))
        rows[row] = None
        matrix.cells[row, columns[cell.task, cell.task_version]].append(record)
    matrix.rows, matrix.columns = list(rows), list(columns.values())
    return matrix


def _columns(records: Sequence[Record]) -> dict[tuple[str, str], Column]:
    """A task's column is described by its first good record; a task without one has no metric."""
    columns: dict[tuple[str, str], Column] = {}
    for record in records:
        cell = record.cell
        key = (cell.task, cell.task_version)
        known = columns.get(key)
        if known is not None and (known.metric or record.main_metric is None):
            continue
        name = record.main_metric if record.main_metric in record.metrics else None
        if name is None:
            columns[key] = Column(cell.task, cell.task_version, cell.group, "", "", True, None)
        else:
            m = record.metrics[name]
            columns[key] = Column(*key, cell.group, name, m.unit, m.higher_is_better, m.chance)
    return columns


def _varying(records: Sequence[Record]) -> list[str]:
    """The budget keys (and "dtype") that differ between records of one task."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record in records:
        if record.status != "n/a":
            for key, value in setting(record).items():
                seen[record.cell.task, key].add(value)
    return sorted({key for (_, key), values in seen.items() if len(values) > 1})


def _variant(record: Record, varying: Sequence[str]) -> str:
    values = setting(record) if varying else {}
    return ", ".join(f"{key}={values[key]}" for key in varying if key in values).replace('"', "")
