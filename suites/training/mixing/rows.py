"""Rows of several data sets, as a mixture trains on them and a strategy sees them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ...contracts.context import Context

SEEN = 2.5
"""Held-out rows that all data sets together give to an update, over the rows of a step: 4 sets of 80 examples and 128
in a step, as in MoE-SFT. Reading them forward costs about a third of training on them."""


@dataclass(frozen=True)
class DataSets:
    """Rows by the name of their data set, in a fixed order, and how a batch is made of some.

    Raises ValueError for a data set without rows to train on, or without held-out ones.
    """

    train: Mapping[str, Sequence[Any]]
    held_out: Mapping[str, Sequence[Any]]
    collate: Callable[[Sequence[Any]], Any]

    def __post_init__(self) -> None:
        for name, rows in self.train.items():
            if not rows:
                raise ValueError(f"the data set {name!r} has no row to train on")
            if not self.held_out.get(name):
                raise ValueError(
                    f"the data set {name!r} has no held-out row, by which a strategy could see it: hold some out, or "
                    "take another partition of the data"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the data sets."""
        return tuple(self.train)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows to train on."""
        return {name: len(rows) for name, rows in self.train.items()}

    def held_out_batches(self, per_step: int, batch_size: int, rows: int | None = None) -> dict[str, list[Any]]:
        """Held-out batches of each data set: its first `rows`, by default an equal part of `SEEN` times a step."""
        if rows is None:
            rows = max(1, round(SEEN * per_step / len(self.train)))
        found: dict[str, list[Any]] = {}
        for name in self.train:
            chosen = list(islice(self.held_out[name], rows))
            found[name] = []
            for start in range(0, len(chosen), batch_size):
                found[name].append(self.collate(chosen[start : start + batch_size]))
        return found


def grouped(rows: Sequence[object], group_of: Callable[[Any], str], names: Sequence[str]) -> dict[str, list[Any]]:
    """Rows by their group, in the order of `names`; those of other groups are left out."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    for row in rows:
        if group_of(row) in found:
            found[group_of(row)].append(row)
    return found


def in_steps(context: Context, sets: DataSets, per_step: int) -> Context:
    """The context with its budget in steps where it is one in epochs, since a mixture has no end: those of as many
    passes over all rows, one at least."""
    epochs = context.budget.epochs
    if epochs is None:
        return context
    steps = epochs * max(1, sum(sets.sizes.values()) // per_step)
    return replace(context, budget=replace(context.budget, epochs=None, steps=steps))
