"""Full tuning: all parameters of backbone and head train

The reference point of every parameter-efficient method. On a backbone with random weights (GIN) it is training from
scratch. Fine-tuning as the shared first step of transfer goes back to Girshick et al. (2014, R-CNN, section 2.3).
"""

from dataclasses import dataclass

from torch import nn

from ...contracts.context import Context
from ...contracts.method import Later, NotApplicable
from ...contracts.traits import PARAMETERS, TASK_REASONS, TRAINING_DATA, VALIDATION_PART
from ...training.callbacks import Callback
from ...training.early_stopping import EarlyStopping
from ...training.from_scratch import FromScratch
from ...training.trainable import train_only


@dataclass(frozen=True, kw_only=True)
class FullTuning(FromScratch):
    """The training loop on everything; a pre-trained backbone wants a smaller `learning_rate`."""

    patience: Later[int] = 0
    """1 or more: training ends when the validation score has not become better for so many epochs, the budget's
    at most, and the weights of the best epoch stay. 0: those of the last epoch."""

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise ValueError(f"patience must be 0 or more epochs, not {self.patience}")

    @property
    def needs(self) -> frozenset[str]:
        """Training data, and parameters to train: a fingerprint has none. With patience, a validation part."""
        needed = frozenset({TRAINING_DATA, PARAMETERS})
        return needed | {VALIDATION_PART} if self.patience else needed

    @property
    def trains(self) -> str | None:
        """Everything."""
        return "all"

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The backbone with every parameter trainable, in float32."""
        return train_only(backbone, "all", context)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """What stops it, if there is patience. Raises ValueError together with a budget that trains until it rests."""
        if not self.patience:
            return super().callbacks(context)
        if context.budget.rest is not None:
            raise ValueError(
                f"patience: {self.patience} and the budget's rest: {context.budget.rest} both say when to end"
            )
        if context.validate is None:
            raise NotApplicable(TASK_REASONS[VALIDATION_PART])
        return (*super().callbacks(context), EarlyStopping(context.validate, self.patience))
