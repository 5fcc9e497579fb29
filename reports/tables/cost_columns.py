"""The columns of the tables that say what a row costs: the model that was measured, and its training.

Times are comparable within one type of processor only. The columns show those of the type that most rows were measured
on; where records are of several types, each further one has columns of its own, and ratios stay within a type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..records.record import Costs
from .matrix import Matrix, Row

Quantity = Callable[[Any], float | None]
"""From the costs of a record, or of its training."""


@dataclass(frozen=True)
class CostColumn:
    """Title, the function of `formatting` that prints it, and where it comes from; `relative`: to the baseline."""

    title: str
    how: str
    quantity: Quantity
    relative: bool = False


def _speed(costs: Costs) -> float | None:
    if not costs.latency_ms:
        return None
    return 1e3 / costs.latency_ms


COSTS = (
    CostColumn("active params", "count", lambda costs: costs.params_active),
    CostColumn("trained params", "count", lambda costs: costs.params_trainable),
    CostColumn("size", "size", lambda costs: costs.bytes),
    CostColumn("size / task", "size", lambda costs: costs.bytes_trained),
)
TIMES = (
    CostColumn("latency / {unit}", "milliseconds", lambda costs: costs.latency_ms),
    CostColumn("{unit}s/s", "count", _speed),
    CostColumn("speed / {baseline}", "times", _speed, relative=True),
)
"""Columns of one type of processor. A relative one is divided by that of the baseline on the same backbone."""

TRAINING = (
    CostColumn("parameters trained", "count", lambda costs: costs.params),
    CostColumn("training FLOPs", "count", lambda costs: costs.flops),
    CostColumn("training time", "duration", lambda costs: costs.seconds),
    CostColumn("peak memory in training", "size", lambda costs: costs.peak_memory),
)
"""Columns of what training took, of a whole cell; a teacher's part is in them. Medians over a row's cells."""
TEACHER = (
    CostColumn("teacher's parameters", "count", lambda costs: costs.teacher and costs.teacher.params_total),
    CostColumn("of them trained", "count", lambda costs: costs.teacher and costs.teacher.params),
    CostColumn("teacher's training FLOPs", "count", lambda costs: costs.teacher and costs.teacher.flops),
    CostColumn("teacher's training time", "duration", lambda costs: costs.teacher and costs.teacher.seconds),
)
"""Further columns where a row has a teacher: the part of `TRAINING` that is the teacher's alone."""
MANY = 3
"""As many baselines are no longer named in a title."""


def columns_of(count: int) -> list[CostColumn]:
    """The first `count` columns of a table: the costs, then the times of one type of processor after another."""
    types = (count - len(COSTS)) // len(TIMES)
    return [*COSTS, *TIMES * types]


def cost_titles(matrix: Matrix, unit: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The titles of `costs_of`; those of a further type of processor say which one it is in the legend: "[P2]"."""
    words = {"unit": unit, "baseline": " or ".join(labels) if len(labels) < MANY else "baseline"}
    titles = [column.title.format(**words) for column in (*COSTS, *TIMES)]
    for number in range(2, len(matrix.processors) + 1):
        titles += [f"{column.title.format(**words)} [P{number}]" for column in TIMES]
    return tuple(titles)


def costs_of(matrix: Matrix, row: Row, labels: Sequence[str]) -> tuple[float | None, ...]:
    """What the columns say of a row; the speed against the first of the baselines `labels` on the same backbone."""
    found = [matrix.cost(row, column.quantity) for column in COSTS]
    for processor in matrix.processors or ("",):
        for column in TIMES:
            if column.relative:
                found.append(_relative(matrix, row, column.quantity, processor, labels))
            else:
                found.append(matrix.cost(row, column.quantity, processor))
    return tuple(found)


def _relative(matrix: Matrix, row: Row, quantity: Quantity, processor: str, labels: Sequence[str]) -> float | None:
    """Against the first baseline that was measured on the same backbone, tasks and type of processor."""
    for baseline in matrix.baselines(labels, row):
        if baseline.backbone == row.backbone:
            ratio = matrix.cost_ratio(row, baseline, quantity, processor)
            if ratio:
                return ratio
    return None


def training_columns(matrix: Matrix) -> tuple[CostColumn, ...]:
    """The columns of what training took: none where no record says, those of teachers only where there is one."""
    if any(costs.teacher is not None for costs in matrix.trainings):
        return (*TRAINING, *TEACHER)
    return TRAINING if matrix.trainings else ()


def training_of(matrix: Matrix, row: Row) -> tuple[float | None, ...]:
    """What `training_columns` say of a row."""
    return tuple(matrix.training_cost(row, column.quantity) for column in training_columns(matrix))
