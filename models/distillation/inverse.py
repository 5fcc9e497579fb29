"""Inverse distillation: a small teacher and a large student learn together, each also from what the other says."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from ..errors import ModelError, check_choice
from .terms import aligned, divergence, squared_distance

Kind = Literal["mse", "kl"]
Reduction = Literal["mean", "batch"]


@dataclass(frozen=True, kw_only=True)
class InverseDistillation:
    """CE(z_s, y) + CE(z_t, y) + weight D(z_s, z_t): the loss of iDAT (Ruan et al., arXiv 2403.15750).

    D is "mse": (z_s - z_t)², averaged over examples and classes, or "kl": KL(softmax(z_t / T) || softmax(z_s / T)),
    averaged over examples. The defaults are those of the release: the teacher gets the gradient of D, too, and the
    divergence has no factor T², so that with T = 5 it counts about a 25th. "mse" fades with the number of classes.
    The release writes the divergence by log(softmax), which is NaN for logits that lie apart; this one is finite.

    Raises:
        ModelError: values that cannot be.

    Example::

        loss = InverseDistillation(kind="kl")(student(x), teacher(x), y)
        loss.backward()  # once, for both models; then a step of an optimizer for each
    """

    kind: Kind = "mse"
    weight: float = 1.0
    """Factor of D, the distance between the two outputs."""
    temperature: float = 5.0
    """T of "kl": both models' logits are divided by it."""
    t2: bool = False
    """Multiply "kl" by T², so that its gradient does not shrink as T grows."""
    detach_teacher: bool = False
    """Whether D leaves the teacher alone, as in the usual distillation; it then learns from the labels only."""
    reduction: Reduction | None = None
    """Over classes: "mean", or with "batch" their sum. None: as released, "mean" of "mse" and "batch" of "kl"."""
    student_weight: float = 1.0
    """Factor of the student's own loss."""
    teacher_weight: float = 1.0
    """Factor of the teacher's own loss."""

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))
        if self.reduction is not None:
            check_choice("reduction", self.reduction, get_args(Reduction))
        for name in ("weight", "student_weight", "teacher_weight"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise ModelError(f"{name}={value} must be a number from 0 on")
        if not math.isfinite(self.temperature) or self.temperature <= 0:
            raise ModelError(f"temperature={self.temperature} must be above 0")

    def __call__(self, student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        """The whole loss for logits (..., C) of both models and class numbers (...)."""
        student_NC, teacher_NC = aligned(student, teacher)
        own = F.cross_entropy(student_NC, targets.flatten())
        of_teacher = F.cross_entropy(teacher_NC, targets.flatten())
        parts = list(self.parts(own, of_teacher, student_NC, teacher_NC).values())
        return sum(parts[1:], start=parts[0])

    def parts(
        self, student_loss: Tensor, teacher_loss: Tensor | None, student: Tensor, teacher: Tensor
    ) -> dict[str, Tensor]:
        """The weighted terms "student", "teacher" and "distillation".

        Args:
            student_loss: the student's own loss, whatever it is: cross-entropy, that of a language model, a squared
                error.
            teacher_loss: the teacher's own; None where it is frozen and has no term.
            student: logits (..., C).
            teacher: logits of the same shape.
        """
        found = {"student": self.student_weight * student_loss}
        if teacher_loss is not None:
            found["teacher"] = self.teacher_weight * teacher_loss
        found["distillation"] = self.term(student, teacher)
        return found

    def term(self, student: Tensor, teacher: Tensor) -> Tensor:
        """weight D, a scalar.

        Args:
            student: logits (..., C).
            teacher: logits of the same shape.

        Raises:
            ModelError: two shapes, and "kl" of one column.
        """
        if self.detach_teacher:
            teacher = teacher.detach()
        student_NC, teacher_NC = aligned(student, teacher)
        reduction = self.reduction or ("mean" if self.kind == "mse" else "batch")
        over_classes = reduction == "mean"
        if self.kind == "mse":
            return self.weight * squared_distance(student_NC, teacher_NC, over_classes=over_classes)
        if student_NC.shape[-1] < 2:
            raise ModelError("kind='kl' compares distributions over classes, and there is one column: take kind='mse'")
        return self.weight * divergence(teacher_NC, student_NC, self.temperature, t2=self.t2, over_classes=over_classes)
