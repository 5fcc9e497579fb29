"""Data mixing over groups of a task's own training data, in fractions that move by gate loads or by losses

The mixtures of `data_mixing` for tasks that predict: images, molecules, texts. A task's training part is cut into
`groups` by what is to be predicted, which needs no further label: classes in blocks of neighbouring numbers, or, where
values are regressed, equally many examples from the smallest to the largest (of the first column). A strategy sees the
same cut of the validation part, so a row that moves its weights looks at that part, as early stopping would, and is n/a
where that part is training data in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import EXPERTS, FEATURE_VECTORS, VALIDATION_PART
from ...prediction.data import PredictionData, targets_of
from ...training.callbacks import Callback
from ...training.mixing.held_out import HeldOut
from ...training.mixing.options import MixingOptions, kind
from ...training.mixing.rows import DataSets, in_steps
from ...training.processes import Processes
from ...training.result import TrainResult
from .tune import Tune


@dataclass(frozen=True, kw_only=True)
class GroupMixing(MixingOptions, Tune):
    """The recipe of `tune` on batches that are drawn example by example from the groups, in the strategy's shares."""

    groups: int = 3
    """How many; gate loads compare three or more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 2:
            raise ValueError(f"groups={self.groups} must be 2 or more")
        if self.strategy == "reference_loss":
            raise ValueError("strategy='reference_loss' needs a reference model, which only data_mixing measures")
        if self.train == "head":
            raise ValueError("train: head is a fit to all rows at once, with nothing to mix: say all, experts or norms")

    @property
    def needs(self) -> frozenset[str]:
        """A task that predicts, experts for their loads, and where rows are looked at a part that never trains."""
        loads = frozenset({EXPERTS}) if self.needs_loads else frozenset()
        held_out = frozenset({VALIDATION_PART}) if self.watch or kind(self.strategy).needs else frozenset()
        return super().needs | {FEATURE_VECTORS} | loads | held_out

    def train_stage(
        self,
        model: nn.Module,
        data: PredictionData,
        context: Context,
        stage: str = "train",
        further: Sequence[Callback] = (),
    ) -> TrainResult:
        """One training on the mixture. Raises `NotApplicable` where the targets make fewer groups."""
        sets = data_sets(data, context, self.groups)
        per_step = context.budget.batch_size * Processes(context.device).count
        read = HeldOut(
            batches=sets.held_out_batches(per_step, context.budget.batch_size, self.held_out_rows),
            loss=context.loss,
            weight=_examples,
            forward=context.outputs,
            dtype=context.dtype,
        )
        stream, updates = self.mixture(model, sets, read, context)
        return super().train_stage(model, stream, in_steps(context, sets, per_step), stage, (updates, *further))


def data_sets(data: PredictionData, context: Context, groups: int) -> DataSets:
    """Training and validation examples by group. Raises `NotApplicable` where the targets make fewer groups."""
    train_P = targets_of(data.train)
    val_P = targets_of(data.val)
    if context.target.kind == "classification":
        names, of_train_P, of_val_P = by_class(train_P, val_P, context.target.outputs, groups)
    elif context.target.kind == "regression":
        names, of_train_P, of_val_P = by_value(train_P, val_P, groups)
    else:
        raise NotApplicable("several labels at once make no groups of examples")
    train = {name: [data.train[row] for row in _rows(of_train_P, number)] for number, name in enumerate(names)}
    val = {name: [data.val[row] for row in _rows(of_val_P, number)] for number, name in enumerate(names)}
    return DataSets(train, val, lambda rows: data.collate(list(rows)))


def by_class(train_P: Tensor, val_P: Tensor, classes: int, groups: int) -> tuple[list[str], Tensor, Tensor]:
    """Names of the groups, and the group of each example: class c of C is in group c * groups // C.

    Raises `NotApplicable` where there are fewer classes than groups.
    """
    if classes < groups:
        raise NotApplicable(f"{classes} classes make no {groups} groups: say fewer groups")
    group_C = torch.arange(classes) * groups // classes
    names = []
    for number in range(groups):
        members = (group_C == number).nonzero().flatten().tolist()
        names.append(f"classes {members[0]} to {members[-1]}")
    return names, group_C[train_P], group_C[val_P]


def by_value(train_PT: Tensor, val_PT: Tensor, groups: int) -> tuple[list[str], Tensor, Tensor]:
    """The same by the first column of the targets: limits are quantiles of the known ones of the training part.

    Examples without a value are in the middle group. Raises `NotApplicable` where too many values are equal.
    """
    train_P = train_PT[:, 0].double()
    val_P = val_PT[:, 0].double()
    known_K = train_P[~train_P.isnan()]
    limits = known_K.quantile(torch.arange(1, groups, dtype=torch.float64) / groups)
    if len(limits.unique()) < len(limits):
        raise NotApplicable(f"the targets have too many equal values for {groups} groups: say fewer groups")
    middle = float(known_K.median())
    names = [f"values {number + 1} of {groups}" for number in range(groups)]
    of_train_P = torch.bucketize(train_P.nan_to_num(nan=middle), limits)
    return names, of_train_P, torch.bucketize(val_P.nan_to_num(nan=middle), limits)


def _rows(group_P: Tensor, number: int) -> list[int]:
    return (group_P == number).nonzero().flatten().tolist()


def _examples(batch: Any) -> float:
    _, targets = batch
    return float(len(targets))
