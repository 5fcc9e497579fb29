"""Tasks on a table of the user's own, by the protocol of `chosen.py`: texts with a label, molecules with properties."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from sparsebench.data.labelled.dealt import PARTS, Part
from sparsebench.data.own.columns import Kind
from sparsebench.data.own.labelled import SOURCES, OwnTable, own_table
from sparsebench.data.own.named_folders import not_named

from ..contracts.context import Context, LoadBackbone, Target
from ..contracts.method import Method, NotApplicable
from ..contracts.metrics import Scores
from ..contracts.task import Outcome
from .chosen import ChosenOnValidation
from .data import Examples, Splits
from .several_columns import deviations, of_columns
from .task import MAIN_METRICS


class OwnTableTask(ChosenOnValidation):
    """What the table is, it says itself: n/a without one, `TableError` for one that cannot be learnt from.

    The content of the folder is in the key of each cell. `details["own data"]` says how many rows each part has,
    how many rows of the table are in none, and how many inputs stand in several rows with different values.

    Several columns of numbers are scored in standard deviations of each column over the training and validation rows
    (`several_columns.py`): in one RMSE of their own units, that with the largest numbers would be all that counts.
    """

    kind: ClassVar[Kind]
    keeps_validation: ClassVar[bool] = True
    ordered_test: ClassVar[bool] = True  # that of the table

    @property
    def target(self) -> Target:  # type: ignore[override]
        """As the values of the table say. Raises `NotApplicable` without one."""
        table = self.table()
        return Target(table.goal, table.outputs)

    @property
    def part_metrics(self) -> tuple[str, ...]:
        """The one that the table is scored by; without it, all that might be."""
        if self.missing() is not None:
            return tuple(dict.fromkeys(MAIN_METRICS.values()))
        return super().part_metrics

    def missing(self) -> str | None:
        """Why there is nothing to read, or None."""
        return not_named(SOURCES[self.kind])

    def check_data(self) -> None:
        """Read the table, if it is there. Raises `DataError` for what is wrong with it."""
        if self.missing() is None:
            self.table()

    def table(self) -> OwnTable:
        """The table, read once for each content. Raises `NotApplicable` without one."""
        reason = self.missing()
        if reason is not None:
            raise NotApplicable(reason)
        return own_table(self.kind)

    def load(self) -> Splits:
        """The three parts, in the order of the table."""
        return self.splits_of(self.table())

    def splits_of(self, table: OwnTable) -> Splits:
        """The three parts of a table, in its order."""

        def part(name: Part) -> Examples:
            rows = table.rows(name)
            return Examples([table.inputs[row] for row in rows], table.values[rows])

        return Splits(part("train"), part("val"), part("test"))

    def score(self, outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Scores:
        """As every prediction task; of several columns of numbers, each divided by its standard deviation.

        All splits of one table have the divisors of the first one, so that scores of several seeds are of one unit.
        """
        table = self.table()
        if table.goal != "regression" or table.outputs == 1:
            return super().score(outputs, targets, generator)
        divisors = deviations(table.values[[*table.rows("train"), *table.rows("val")]])
        scale = torch.tensor(divisors, dtype=outputs.dtype)
        scores = super().score(outputs / scale, targets / scale, generator)
        return of_columns(scores, outputs, targets, table.columns.targets, divisors.tolist())

    def load_shared(self) -> None:
        """The table; RDKit takes seconds to find the scaffolds of thousands of molecules."""
        if self.missing() is None:
            self.table()

    def describe(self, context: Context) -> dict[str, int]:
        """Rows by part, those of no part, and inputs whose rows disagree."""
        splits = self.parts_of(context)
        counts = {part: len(getattr(splits, part).targets) for part in PARTS}
        table = self.table()
        return counts | {"rejected": len(table.rejected), "conflicting": len(table.conflicting)}

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """As every task with this protocol; the record says what became of the rows."""
        outcome = super().run(chain, load_backbone, context)
        return replace(outcome, details={**outcome.details, "own data": self.describe(context)})
