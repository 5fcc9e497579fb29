"""Teacher and student learn together: two networks, each with its own view of the images and its own optimizer

A toy of inverse distillation: a small teacher trains online beside a larger student, which also fits its outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Curves
from sparsebench.suites.contracts.traits import PARAMETERS, TRAINING_DATA
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.method import TrainedMethod
from sparsebench.suites.training.settings import TrainSettings
from sparsebench.suites.training.views import BothViews

from ._watch import Watch


@dataclass(frozen=True, kw_only=True)
class ToyPair(TrainedMethod):
    """The student by AdamW, the teacher by gradient descent with momentum."""

    teacher: str = "toy_teacher"
    """Backbone of the teacher."""
    teacher_rate: float = 0.05
    """Peak learning rate of the teacher."""

    @property
    def needs(self) -> frozenset[str]:
        """Training data, and something to train."""
        return frozenset({TRAINING_DATA, PARAMETERS})

    @property
    def trains(self) -> str:
        """Everything."""
        return "all"

    def backbones(self) -> tuple[str, ...]:
        """The teacher."""
        return (self.teacher,)

    def settings(self, context: Context) -> TrainSettings:
        """Those of the budget, with a checkpoint after every second step."""
        return replace(super().settings(context), save_every=2)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The student."""
        return backbone.requires_grad_(True)

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
