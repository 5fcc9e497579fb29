"""Batches drawn before a training starts: for methods that have to know which rows it will see."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from ...contracts.budget import Budget
from ...contracts.context import Context
from ...training.result import TrainResult
from .one_pass import ran_dry
from .packing import Row

BY_TOKENS = " by tokens"
"""Ends the name of a curve over tokens instead of steps (`curves.py`)."""


def drawn_rows(
    rows: Sequence[Row], budget: Budget, per_step: int, generator: torch.Generator, *, repeat: bool = False
) -> list[Row]:
    """The rows that a training of this budget sees, in random order, new in each pass.

    A budget in epochs is so many passes, in steps `per_step` rows for each, in tokens as many rows as hold them. Raises
    ValueError where steps or tokens need more than one pass, unless `repeat`.
    """
    unit, amount = budget.duration
    size: Callable[[Row], int] = len
    needed = amount
    if unit != "tokens":
        size = _one
        needed = amount * len(rows)
    if unit == "steps":
        needed = amount * per_step
    found: list[Row] = []
    done = 0
    while done < needed:
        if found and unit != "epochs" and not repeat:
            there = done if unit == "tokens" else done // per_step
            raise ValueError(ran_dry(f"{there} {unit}", amount, unit))
        for number in torch.randperm(len(rows), generator=generator).tolist():
            if done < needed:
                found.append(rows[number])
                done += size(rows[number])
    return found


def one_epoch(context: Context) -> Context:
    """The context of a training whose batches were drawn ahead: its budget is to see each of them once."""
    return replace(context, budget=replace(context.budget, epochs=1, steps=None, tokens=None))


class Batches(Sequence[Any]):
    """Rows cut into batches in their order, each made when it is asked for; the last may be smaller."""

    def __init__(self, rows: Sequence[Row], size: int, collate: Callable[[Sequence[Row]], Any]) -> None:
        self.rows = rows
        self.size = size
        self.collate = collate

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __getitem__(self, index: Any) -> Any:
        """The batch of a number from 0."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        return self.collate(self.rows[index * self.size : (index + 1) * self.size])


def joined(results: Sequence[TrainResult]) -> TrainResult:
    """Trainings one after another as one: curves run on, costs add up."""
    curves: dict[str, list[tuple[float, float]]] = {}
    steps = 0
    tokens = 0
    for result in results:
        for name, points in result.curves.items():
            before = tokens if name.endswith(BY_TOKENS) else steps
            curves.setdefault(name, []).extend((place + before, value) for place, value in points)
        steps += result.steps
        tokens += result.tokens or 0
    return replace(
        results[-1],
        curves=curves,
        steps=steps,
        tokens=tokens,
        epochs=sum(result.epochs for result in results),
        seconds=sum(result.seconds for result in results),
        flops=sum(result.flops for result in results),
        peak_memory=max(result.peak_memory for result in results),
    )


def _one(row: Row) -> int:
    return 1
