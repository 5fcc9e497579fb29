"""The columns of the tables that say what a row costs: the model that was measured, and its training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .matrix import Matrix, Row
from .record import Costs, TrainingCosts

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

TRAINING: tuple[tuple[str, str, Callable[[TrainingCosts], float | None]], ...] = (
    ("parameters trained", "count", lambda costs: costs.params),
    ("training FLOPs", "count", lambda costs: costs.flops),
    ("training time", "duration", lambda costs: costs.seconds),
    ("peak memory in training", "size", lambda costs: costs.peak_memory),
)
"""Columns of what training took, of a whole cell; a teacher's part is in them. Medians over a row's cells."""


def costs_of(matrix: Matrix, row: Row, labels: Sequence[str]) -> tuple[float | None, ...]:
    """What `COSTS` says of a row, the speed against the first of the baselines `labels` on the same backbone."""
    *costs, speed = [matrix.cost(row, quantity) for _, _, quantity in COSTS]
    reference = _baseline_speed(matrix, row, labels)
    if not speed or not reference:
        return *costs, None
    return *costs, speed / reference


def _baseline_speed(matrix: Matrix, row: Row, labels: Sequence[str]) -> float | None:
    """The speed of the first baseline that ran on the same backbone."""
    _, _, speed = COSTS[-1]
    for label in labels:
        baseline = matrix.baseline(label, row)
        if baseline is not None and baseline.backbone == row.backbone:
            found = matrix.cost(baseline, speed)
            if found:
                return found
    return None


def training_of(matrix: Matrix, row: Row) -> tuple[float | None, ...]:
    """What `TRAINING` says of a row."""
    return tuple(matrix.training_cost(row, quantity) for _, _, quantity in TRAINING)
