"""The joint loss of a student and a teacher, and whether the two go together at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.distillation import InverseDistillation
from sparsebench.models.evaluation import evaluation_mode

from ...contracts.context import Context, Setup
from ...contracts.method import NotApplicable
from .outputs import joined, outputs_of

STUDENT, TEACHER = "student", "teacher"
PROBED = 4
"""Examples by which the views of the two models are compared."""


@dataclass(frozen=True)
class JointLoss:
    """The loss of (models, (batch of the student, batch of the teacher)), in parts, for the loop of `loop.py`.

    Each model runs once. The teacher's part is missing, and so is its graph, where nothing of it requires a gradient.
    """

    distillation: InverseDistillation
    student: Callable[[nn.Module, Any], Tensor]
    """Own loss of the student, by model and batch."""
    teacher: Callable[[nn.Module, Any], Tensor]
    outputs: int
    """Columns that are compared: classes, or the tokens of the vocabulary."""
    teacher_trains: bool

    def __call__(self, models: Mapping[str, nn.Module], batch: tuple[Any, Any]) -> dict[str, Tensor]:
        """The weighted parts."""
        own, of_teacher = batch
        with outputs_of(models[STUDENT]) as said:
            student_loss = self.student(models[STUDENT], own)
        graph = self.teacher_trains and torch.is_grad_enabled()
        with torch.set_grad_enabled(graph), outputs_of(models[TEACHER]) as heard:
            teacher_loss = self.teacher(models[TEACHER], of_teacher)
        return self.distillation.parts(
            student_loss,
            teacher_loss if self.teacher_trains else None,
            joined(said, self.outputs),
            joined(heard, self.outputs),
        )


def check_pair(name: str, student: nn.Module, data: Any, context: Context, teacher: Setup) -> None:
    """Raise `NotApplicable` unless both put out the same things for the same examples; nothing is trained.

    `name` is the teacher's. Targets, or token numbers, of the first examples have to be equal, and so do the shapes of
    what the two put out for them.
    """
    own = context.target
    other = teacher.context.target
    if own != other:
        raise NotApplicable(f"the student puts out {_words(own)} and the teacher {name} {_words(other)}")
    first = data.collate([data.train[row] for row in range(min(PROBED, len(data.train)))])
    second = teacher.data.collate([teacher.data.train[row] for row in range(min(PROBED, len(teacher.data.train)))])
    if not _equal(_labels(first), _labels(second)):
        reason = "other targets"
        if own.generates:
            reason = "other token numbers: distillation needs one vocabulary, and rows of the same length"
        raise NotApplicable(f"the teacher {name} sees the same examples with {reason}")
    said = _shape(student, first, context)
    heard = _shape(teacher.model, second, teacher.context)
    if said != heard:
        raise NotApplicable(f"the student puts out {said} and the teacher {name} {heard} for the same examples")


def _words(target: Any) -> str:
    return f"{target.outputs} outputs ({target.kind})"


def _labels(batch: Any) -> Tensor:
    if isinstance(batch, Mapping):
        return batch["input_ids"]
    _, targets = batch
    return targets


def _equal(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape:
        return False
    return torch.equal(first.double().nan_to_num(nan=-1.0), second.double().nan_to_num(nan=-1.0))


@torch.no_grad()
def _shape(model: nn.Module, batch: object, context: Context) -> tuple[int, ...]:
    """The shape of what the model puts out for a batch; modes stay."""
    with evaluation_mode(model), outputs_of(model) as found:
        context.loss(model, batch)
    return tuple(joined(found, context.target.outputs).shape)
