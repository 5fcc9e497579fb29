"""The records of one suite as a matrix of rows (method label × backbone) and columns (tasks)."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from ..records.example_files import ExampleReader
from ..records.record import Costs, Metric, Record, TrainingCosts
from ..records.record_limits import RecordError
from ..statistics import Estimate, Pairing, Score, Side, estimate, estimate_mean, pair
from .contents import versions_of
from .dataframe import canonical

WITHOUT_EFFECT = ("watch",)
"""Entries of a budget that change no score."""


@dataclass(frozen=True, order=True)
class Row:
    """A row of the tables. `variant` says which budget or dtype it is, where a task was run under several."""

    label: str
    backbone: str
    variant: str = ""


@dataclass(frozen=True)
class Column:
    """A task and what its main metric means. Columns of one `family` may be averaged.

    `version`: of the task, with its data where these were several (`contents`). `versions`: of how many of them there
    are columns, as folders of different times bring them.
    """

    task: str
    version: str
    group: str
    metric: str
    unit: str
    higher_is_better: bool
    chance: float | None
    versions: int = 1

    @property
    def name(self) -> str:
        """The task, with its version where another one has a column, too."""
        if self.versions == 1:
            return self.task
        return f"{self.task}@{self.version}"

    @property
    def family(self) -> tuple[str, bool, str]:
        """Same unit, same direction; a column without a unit is a family of its own."""
        alone = "" if self.unit else f"{self.task}@{self.version}"
        return self.unit, self.higher_is_better, alone


@dataclass
class Matrix:
    """All records of one suite at one version, by row and column. The order is that of first appearance."""

    suite: str
    version: str
    records: list[Record]
    rows: list[Row] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    cells: dict[tuple[Row, Column], list[Record]] = field(default_factory=lambda: defaultdict(list))
    examples: ExampleReader | None = None
    """Reads per-example outcomes, where a comparison needs them."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Row label to what the row is there for, where the plan says it."""
    _sides: dict[tuple[Row, Column], Side] = field(default_factory=dict, repr=False, compare=False)
    """Those that were asked for: tables, figures and tests ask again and again."""

    def scores(self, row: Row, column: Column) -> Mapping[int, Score]:
        """Seed to score of the main metric, over the records that went well."""
        return self.side(row, column).scores

    def side(self, row: Row, column: Column) -> Side:
        """One side of a comparison: the scores, and what the plan has of them."""
        place = row, column
        if place not in self._sides:
            self._sides[place] = side_of(self.cells.get(place, ()), column.metric, self.examples)
        return self._sides[place]

    def paired(self, ours: Row, theirs: Row, columns: Iterable[Column]) -> list[Pairing]:
        """The pairs of two rows, for each task that has some."""
        found = []
        for column in columns:
            pairing = pair(self.side(ours, column), self.side(theirs, column))
            if pairing.pairs:
                found.append(pairing)
        return found

    def mean(self, row: Row, columns: Iterable[Column]) -> Estimate:
        """The mean over tasks of the means over seeds; the row must have a score on every one (`complete`)."""
        scores = [list(self.scores(row, column).values()) for column in columns]
        if len(scores) == 1:  # of one task the interval of a fraction ends at 1
            return estimate(scores[0])
        return estimate_mean(scores)

    def best(self, rows: Iterable[Row], columns: Sequence[Column]) -> Row | None:
        """The row with the best mean, the first of several; every one has all scores."""
        means = {row: self.mean(row, columns).mean for row in rows}
        choose = max if columns[0].higher_is_better else min
        return choose(means, key=means.__getitem__, default=None)

    def record_of(self, row: Row) -> Record:
        """The first record of a row: what its method is."""
        return self._records[row][0]

    @cached_property
    def _by_label(self) -> dict[tuple[str, str], list[Row]]:
        """The rows of a label and variant."""
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.label, row.variant].append(row)
        return found

    @cached_property
    def backbones(self) -> frozenset[str]:
        """Those of all rows."""
        return frozenset(row.backbone for row in self.rows)

    @cached_property
    def trainings(self) -> list[TrainingCosts]:
        """What the records say of their training."""
        return [record.training for record in self.records if record.training is not None]

    @cached_property
    def _records(self) -> dict[Row, list[Record]]:
        """All of a row: roles and costs ask for them again and again, and searches would be quadratic in the rows."""
        found: dict[Row, list[Record]] = defaultdict(list)
        for (row, _), records in self.cells.items():
            found[row] += records
        return found

    def complete(self, row: Row, columns: Iterable[Column]) -> bool:
        """Whether the row has a score in each of the columns."""
        return all(self.scores(row, column) for column in columns)

    @cached_property
    def families(self) -> list[list[Column]]:
        """Columns that may be averaged with each other, in order; two versions of a task never are."""
        families: dict[tuple[int, tuple[str, bool, str]], list[Column]] = {}
        seen: Counter[str] = Counter()
        for column in self.columns:
            families.setdefault((seen[column.task], column.family), []).append(column)
            seen[column.task] += 1
        return list(families.values())

    def baselines(self, labels: Iterable[str], row: Row) -> list[Row]:
        """The baselines to compare `row` with: of its backbone and variant, or the only one of that variant."""
        candidates = [found for label in labels for found in self._by_label.get((label, row.variant), ())]
        same = [found for found in candidates if found.backbone == row.backbone]
        if same:
            return same
        # Of several on other backbones nobody says which one is meant.
        return candidates if len(candidates) == 1 else []

    @cached_property
    def processors(self) -> tuple[str, ...]:
        """The types of processor that latencies were measured on, the one with the most rows first."""
        rows: dict[str, set[Row]] = defaultdict(set)
        for row, records in self._records.items():
            for record in records:
                if record.costs is not None and record.costs.latency_ms is not None:
                    rows[processor_type(record)].add(row)
        # By name where two have as many rows: the order of the columns is not that of the files.
        return tuple(sorted(rows, key=lambda processor: (-len(rows[processor]), processor)))

    def cost(self, row: Row, quantity: Callable[[Costs], float | None], processor: str | None = None) -> float | None:
        """Median of one cost over the row's records, or None if nobody measured it.

        `processor`: only what was measured on this type of processor; needed for times, which no others compare with.
        """
        return _cost(self._records[row], quantity, processor)

    def cost_ratio(
        self, ours: Row, theirs: Row, quantity: Callable[[Costs], float | None], processor: str | None = None
    ) -> float | None:
        """One row's cost over the other's, both on the tasks that both have a score on; None where one is not known."""
        shared = [column for column in self.columns if self.scores(ours, column) and self.scores(theirs, column)]
        above = _cost([record for column in shared for record in self.cells[ours, column]], quantity, processor)
        below = _cost([record for column in shared for record in self.cells[theirs, column]], quantity, processor)
        if above is None or not below:
            return None
        return above / below

    def training_cost(self, row: Row, quantity: Callable[[TrainingCosts], float | None]) -> float | None:
        """Median of one cost of training over the row's records, or None if nobody measured it."""
        return _median(quantity(record.training) for record in self._records[row] if record.training is not None)


def _cost(records: Iterable[Record], quantity: Callable[[Costs], float | None], processor: str | None) -> float | None:
    """The median of a cost over records, those of one type of processor if one is given."""
    if processor is not None:
        records = [record for record in records if processor_type(record) == processor]
    return _median(quantity(record.costs) for record in records if record.costs is not None)


def _median(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def matrices(
    records: Sequence[Record],
    examples: ExampleReader | None = None,
    roles: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Matrix]:
    """One matrix per suite and version, in the order of their names; `roles` are by suite and row label."""
    by_suite: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        by_suite[record.cell.suite, record.cell.suite_version].append(record)
    found = [_matrix(suite, version, members) for (suite, version), members in sorted(by_suite.items())]
    for matrix in found:
        matrix.examples = examples
        matrix.roles = (roles or {}).get(matrix.suite, {})
    return found


def scores_of(records: Iterable[Record], metric: str, examples: ExampleReader | None) -> dict[int, Score]:
    """Seed to score, over the records of one row and task that went well.

    Raises:
        RecordError: two records of one seed; which of them counts nobody said.
    """
    found: dict[int, Record] = {}
    for record in records:
        if record.status != "ok" or metric not in record.metrics:
            continue
        other = found.setdefault(record.cell.seed, record)
        if other is not record:
            cell = record.cell
            unlike = differences(other, record, "and") or "another configuration or code"
            raise RecordError(
                f"two records of seed {cell.seed} of the row {cell.label!r} on {cell.task}, {other.id} and {record.id} "
                f"({unlike}): give the rows two labels, name the budget in the claim, or keep one of them"
            )
    return {seed: _score(record, metric, examples) for seed, record in found.items()}


def differences(a: Record, b: Record, between: str) -> str:
    """The settings in which two records differ, "epochs 10 against 20"; empty where they are equal."""
    ours = setting(a)
    theirs = setting(b)
    different = []
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            different.append(f"{key} {ours.get(key, 'unset')} {between} {theirs.get(key, 'unset')}")
    return "; ".join(different)


def _score(record: Record, name: str, examples: ExampleReader | None) -> Score:
    metric = record.metrics[name]
    read = None
    if examples is not None:
        read = partial(examples.scores, record.id, name, metric.value)
    return Score(metric.value, metric.stderr, trials_of(metric), read, _overlap(record))


def _overlap(record: Record) -> float | None:
    """Test examples over the other ones of the split that the seed chose; None where all seeds share one."""
    tested = record.seeds.get("split_test", 0)
    others = record.seeds.get("split_rows", 0) - tested
    return tested / others if tested > 0 and others > 0 else None


def trials_of(metric: Metric) -> int | None:
    """How many answers a score is a fraction of, where they are right or wrong; None for any other score.

    Records do not say which scores are such fractions; the standard error does, to rounding: p (1 - p) over n - 1 or n.
    """
    if metric.unit != "share" or not metric.n or metric.stderr is None or not 0 <= metric.value <= 1:
        return None
    spread = metric.value * (1 - metric.value)
    square = metric.stderr * metric.stderr
    for n in (metric.n - 1, metric.n):
        if n and math.isclose(square * n, spread, rel_tol=1e-6, abs_tol=1e-12):
            return metric.n
    return None


def side_of(records: Sequence[Record], metric: str, examples: ExampleReader | None = None) -> Side:
    """One side of a comparison on one task, from all its records, failed ones included.

    Records say how many seeds were planned and whether the seed matters; of older ones, several are of a stochastic
    row, a single one of a deterministic row.
    """
    planned = [record.seeds["planned"] for record in records if "planned" in record.seeds]
    known = [record.seeds["stochastic"] for record in records if "stochastic" in record.seeds]
    stochastic = any(known) if known else len(records) > 1
    return Side(scores_of(records, metric, examples), max([len(records), *planned]), stochastic)


def processor_type(record: Record) -> str:
    """Family and vector features of the processor (of older records its name), and the accelerator."""
    environment = record.environment
    names = [environment.get("processor_type") or environment.get("processor"), environment.get("accelerator")]
    return ", ".join(str(name) for name in names if name) or "an unknown processor"


def setting(record: Record) -> dict[str, str]:
    """What must be equal for two results of one task to be comparable, in addition to the versions."""
    budget = record.cell.budget
    values = {key: canonical(budget[key]) for key in budget if key not in WITHOUT_EFFECT}
    return values | {"dtype": record.cell.dtype}


def _matrix(suite: str, version: str, records: list[Record]) -> Matrix:
    matrix = Matrix(suite, version, records)
    settings = _settings(records)
    varying = _varying(records, settings)
    of_task = versions_of(records)
    columns = _columns(records, of_task)
    rows: dict[Row, None] = {}
    for record, values, task_version in zip(records, settings, of_task, strict=True):
        cell = record.cell
        variant = ", ".join(f"{key}={values[key]}" for key in varying if key in values)
        row = Row(cell.label, cell.backbone, variant.replace('"', ""))
        rows[row] = None
        matrix.cells[row, columns[cell.task, task_version]].append(record)
    matrix.rows = list(rows)
    matrix.columns = list(columns.values())
    return matrix


def _columns(records: Sequence[Record], task_versions: Sequence[str]) -> dict[tuple[str, str], Column]:
    """A task's column is described by its first good record; a task without one has no metric."""
    columns: dict[tuple[str, str], Column] = {}
    for record, version in zip(records, task_versions, strict=True):
        cell = record.cell
        key = (cell.task, version)
        known = columns.get(key)
        if known is not None and (known.metric or record.main_metric is None):
            continue
        columns[key] = Column(*key, cell.group, "", "", True, None)
        name = record.main_metric
        if name is not None and name in record.metrics:
            m = record.metrics[name]
            columns[key] = Column(*key, cell.group, name, m.unit, m.higher_is_better, m.chance)
    versions = Counter(task for task, _ in columns)
    return {key: replace(column, versions=versions[column.task]) for key, column in columns.items()}


def _settings(records: Sequence[Record]) -> list[dict[str, str]]:
    """The setting of each record, worked out once for those that share a budget, as records of an index do."""
    known: dict[tuple[int, str], dict[str, str]] = {}
    found = []
    for record in records:
        # The records keep their budgets alive, so that no two of them have one id.
        place = id(record.cell.budget), record.cell.dtype
        if place not in known:
            known[place] = setting(record)
        found.append(known[place])
    return found


def _varying(records: Sequence[Record], settings: Sequence[Mapping[str, str]]) -> list[str]:
    """The budget keys (and "dtype") that differ between records of one task."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record, values in zip(records, settings, strict=True):
        if record.status != "n/a":  # what cannot run has no setting that a reader must know
            for key, value in values.items():
                seen[record.cell.task, key].add(value)
    return sorted({key for (_, key), values in seen.items() if len(values) > 1})
