"""Two-stage instruction tuning: general conversations first, then mathematics and code, as in LLaMA-MoE v2

Qu et al. (arXiv 2411.15708): the second stage starts where the first ended, with a warm-up and a cosine of its own.
Each takes half of the steps or tokens. Controls see the very same rows: `reversed` takes the stages in the other order,
`mixed` is one stage with both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ...contracts.context import Context
from ...training.callbacks import Callback
from ...training.data_order import FixedBatches
from ...training.result import TrainResult
from ..training.data import TextRows
from ..training.packing import Row
from ..training.planned import Batches, drawn_rows, joined, one_epoch
from .instruction_tuning import InstructionTuning

PUBLISHED = ("mathematics", "code")
"""The groups of the paper's second stage."""


@dataclass(frozen=True, kw_only=True)
class TwoStage(InstructionTuning):
    """Instruction tuning in stages; a budget in epochs is so many passes over each of them."""

    order: Literal["general_first", "reversed", "mixed"] = "general_first"
    """Which stage comes first; "mixed" trains on the rows of both at once."""
    special: tuple[str, ...] = PUBLISHED
    """Groups of the stage that is not general, the paper's second; all the others are general. Of the published ones,
    those that the task has."""

    def train_stage(
        self,
        model: nn.Module,
        data: TextRows,
        context: Context,
        stage: str = "train",
        further: Sequence[Callback] = (),
    ) -> TrainResult:
        """The stages one after another; curves run on. Raises ValueError for groups that leave a stage empty."""
        results = []
        for number, rows in enumerate(self.stages(data, context), start=1):
            order = FixedBatches(Batches(rows, context.budget.batch_size, data.collate))
            results.append(self.train_on(order, model, data, one_epoch(context), f"{stage} {number}", further))
        return joined(results)

    def stages(self, data: TextRows, context: Context) -> list[list[Row]]:
        """The rows of each stage, drawn by task and seed: the same ones whatever the order. Raises ValueError for an
        empty one.
        """
        special = [group for group in self.special if group in data.groups or group not in PUBLISHED]
        general = [group for group in data.groups if group not in special]
        if not special or not general:
            raise ValueError(
                f"special={list(self.special)} leaves a stage empty: name some of {list(data.groups)}, but not all"
            )
        budgets = (context.budget, context.budget)
        if context.budget.epochs is None:
            budgets = context.budget.halves()
        rows = []
        for name, groups, budget in zip(("general", "special"), (general, special), budgets, strict=True):
            part = data.only(groups).train
            per_step = budget.batch_size * self.accumulation
            rows.append(drawn_rows(part, budget, per_step, context.task_generator(name), repeat=self.repeat))
        if self.order == "general_first":
            return rows
        if self.order == "reversed":
            return rows[::-1]
        both = [*rows[0], *rows[1]]
        mixed = torch.randperm(len(both), generator=context.task_generator("mixed")).tolist()
        return [[both[number] for number in mixed]]
