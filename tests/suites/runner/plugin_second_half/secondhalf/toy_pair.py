"""Teacher and student learn together: two networks, each with its own view of the images and its own optimizer

A toy of inverse distillation: a small teacher trains online beside a larger student, which also fits its outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Curves
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.views import BothViews

from ._toys import Trained
from ._watch import Watch


@dataclass(frozen=True, kw_only=True)
class ToyPair(Trained):
    """The student by AdamW, the teacher by gradient descent with momentum."""

    teacher: str = "toy_teacher"
    """Backbone of the teacher."""
    teacher_rate: float = 0.05
    """Peak learning rate of the teacher."""

    def backbones(self) -> tuple[str, ...]:
        """The teacher."""
        return (self.teacher,)

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Both at once, on the same images in the same order."""
        teacher = context.load_backbone(self.teacher)
        teacher.model.requires_grad_(True)

        def loss(models: Mapping[str, nn.Module], batch: Any) -> dict[str, Tensor]:
            own, others = batch
            student_outputs = context.outputs(models["student"], own)
            teacher_outputs = teacher.context.outputs(models["teacher"], others)
            return {
                "student": context.loss(models["student"], own),
                "teacher": teacher.context.loss(models["teacher"], others),
                "distance": (student_outputs - teacher_outputs.detach()).square().mean(),
            }

        return self.train_groups(
            {"student": model, "teacher": teacher.model},
            BothViews(data, teacher.data),
            loss,
            [
                Group.adamw("student", model, learning_rate=self.learning_rate, weight_decay=self.weight_decay),
                Group(
                    name="teacher",
                    parameters=list(teacher.model.parameters()),
                    learning_rate=self.teacher_rate,
                    optimizer=partial(torch.optim.SGD, momentum=0.9),
                ),
            ],
            context,
            callbacks=[Watch("toy_pair")],
        ).curves
