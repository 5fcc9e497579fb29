"""Records as a tidy pandas frame: one row per record and metric, one row for a record without scores."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, TypeVar

from ..records.record import Costs, Record, TeacherCosts, TrainingCosts
from .formatting import csv_cell

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..records.index.database import Entry

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""One encoder for all, since making one takes longer than most of what it writes."""
_TASK = ("suite", "suite_version", "task", "task_version", "group")
_ROW = ("label", "backbone", "seed", "dtype")
_PARAMETERS = ("params_total", "params_trainable", "params_active", "params_nonzero")
_COSTS = (*_PARAMETERS, "flops", "bytes", "bytes_trained", "peak_rss")
_TRAINING = ("params", "flops", "seconds", "peak_memory")
_TEACHER = ("params_total", "params", "flops", "seconds")
_METRIC = ("value", "stderr", "n", "higher_is_better", "chance", "unit")
_WITHOUT_SCORE = (None, False, *(None,) * len(_METRIC))

# The values of a record's parts under these names, for millions of rows: `attrgetter` is a loop in C.
_of_cell = attrgetter(*_TASK, "methods", *_ROW)
COLUMNS = (
    *("id", "key", "code"),
    *(*_TASK, "method", *_ROW),
    *("budget", "config", "status", "reason"),
    *("metric", "main", *_METRIC),
    *_COSTS,
    *("latency_ms", "cost_unit", "seconds", "finished"),
    "further_backbones",
    *(f"training_{name}" for name in _TRAINING),
    *(f"teacher_{name}" for name in _TEACHER),
)
_of_costs = attrgetter(*_COSTS)
_of_training = attrgetter(*_TRAINING)
_of_teacher = attrgetter(*_TEACHER)
_of_metric = attrgetter(*_METRIC)


def to_frame(records: Iterable[Record]) -> DataFrame:
    """A frame with the columns `COLUMNS`.

    `value` and `stderr` are as recorded; `main` marks the metric that the tables show; `budget` and `config` are
    canonical JSON, `config` of a chain a list with one entry for each link; `seconds` is the time inside the cell.
    What was not recorded is missing (NaN or None).
    """
    import pandas

    return pandas.DataFrame(list(all_rows(records)), columns=list(COLUMNS))


def all_rows(records: Iterable[Record]) -> Iterator[tuple[Any, ...]]:
    """One row for each record and metric, one for a record without scores, in the order of `COLUMNS`."""
    for head, scores, tail in _all_parts(records):
        yield from ((*head, *score, *tail) for score in scores)


def write_csv(records: Iterable[Record], file: IO[str]) -> None:
    """The same as CSV, record by record: what is not recorded is empty, numbers keep all their digits.

    A text that a spreadsheet would run as a formula has a ' in front.
    """
    file.write(f"{_csv(COLUMNS)}\n")
    for head, scores, tail in _all_parts(records):
        before = _csv(map(csv_cell, head))  # long texts, the same for every score of a record: quoted once
        after = _csv(map(csv_cell, tail))
        for score in scores:
            file.write(f"{before},{_csv(map(csv_cell, score))},{after}\n")


def main_rows(records: Iterable[Record]) -> Iterator[tuple[Any, ...]]:
    """One row for each record, in the order of `COLUMNS`: that of its main metric, or without a score."""
    for head, scores, tail in _all_parts(records):
        main = next((score for score in scores if score[1]), _WITHOUT_SCORE)
        yield (*head, *main, *tail)


_ECHO = SimpleNamespace(write=lambda text: text)
"""What a CSV writer writes to whose `writerow` is to give the text."""
_csv: Callable[[Iterable[Any]], str] = csv.writer(_ECHO, lineterminator="").writerow  # type: ignore[assignment]


class _Texts:
    """Canonical JSON of values, each worked out once: records of an index share what they have in common."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}  # with the value, so that no other takes its place in memory

    def of(self, value: Any) -> str:
        if id(value) not in self._known:
            self._known[id(value)] = value, canonical(value)
        return self._known[id(value)][1]


Found = TypeVar("Found", Record, "Entry")


def newest(records: Iterable[Found]) -> tuple[list[Found], list[Found]]:
    """Splits records into the last finished one of each key, and the superseded ones (same cell, older code)."""
    last: dict[str, Found] = {}
    superseded = []
    for record in records:
        rival = last.get(record.key)
        # Of two that ended in one moment the one that is read last counts.
        if rival is not None and rival.finished > record.finished:
            superseded.append(record)
            continue
        if rival is not None:
            superseded.append(rival)
        last[record.key] = record
    return list(last.values()), superseded


def _all_parts(records: Iterable[Record]) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]], tuple[Any, ...]]]:
    """What stands before the scores in each row, the scores, and what stands behind them."""
    texts = _Texts()
    for record in records:
        cell = record.cell
        costs = record.costs or Costs(unit="")
        training = record.training or TrainingCosts()
        teacher = training.teacher or TeacherCosts()
        configs = texts.of(cell.config)
        if cell.then:
            configs = canonical([link.config for link in cell.links])
        head = (
            *(record.id, record.key, record.code),
            *_of_cell(cell),
            *(texts.of(cell.budget), configs, record.status, record.reason),
        )
        tail = (
            *_of_costs(costs),
            *(costs.latency_ms, costs.unit, seconds(record), record.finished, ", ".join(cell.further_backbones)),
            *_of_training(training),
            *_of_teacher(teacher),
        )
        scores = [(name, name == record.main_metric, *_of_metric(metric)) for name, metric in record.metrics.items()]
        yield head, scores or [_WITHOUT_SCORE], tail


def seconds(record: Record) -> float:
    """The time inside the cell: "total" among its times, or the sum of its parts where a record has no total."""
    return record.times.get("total", sum(record.times.values()))


def canonical(value: Any) -> str:
    """Canonical JSON: equal values are equal text."""
    return _encode(value)
