"""What methods that train convolutional networks from scratch may have: the recipe of their papers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from ..contracts.context import Context
from ..contracts.method import Later
from .augmentation import ShiftedAndMirrored
from .callbacks import Callback
from .groups import Group
from .method import TrainedMethod
from .result import TrainResult

MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class FromScratch(TrainedMethod):
    """With `optimizer: sgd` and `augment: true`, networks train as He et al. (arXiv 1512.03385) and PAD-Net train them;
    with the defaults as every method does."""

    optimizer: Later[Literal["adamw", "sgd"]] = "adamw"
    """"sgd": with momentum 0.9, and with `weight_decay` on all that trains, norms and factors too."""
    augment: Later[bool] = False
    """Whether training images are shifted by up to 4 pixels and mirrored, anew each time."""

    def train_stage(
        self,
        model: nn.Module,
        data: Any,
        context: Context,
        stage: str = "train",
        further: Sequence[Callback] = (),
    ) -> TrainResult:
        """As of every method, by the recipe. Raises ValueError where `augment` finds no images."""
        if self.augment:
            data = ShiftedAndMirrored(data, context.task_generator("augmentation"))
        return super().train_stage(model, data, context, stage, further)

    def trained_group(self, model: nn.Module) -> Group:
        """By AdamW, or by SGD."""
        if self.optimizer == "adamw":
            return super().trained_group(model)
        return Group(
            name="model",
            parameters=[parameter for parameter in model.parameters() if parameter.requires_grad],
            learning_rate=self.learning_rate,
            optimizer=partial(torch.optim.SGD, momentum=MOMENTUM, weight_decay=self.weight_decay),
        )
