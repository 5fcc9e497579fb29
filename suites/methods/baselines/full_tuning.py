"""Full tuning: all parameters of backbone and head train

The reference point of every parameter-efficient method. On a backbone with random weights (GIN) it is training from
scratch. Fine-tuning as the shared first step of transfer goes back to Girshick et al. (2014, R-CNN, section 2.3).
"""

from dataclasses import dataclass

from torch import nn

from ...contracts.context import Context
from ...contracts.traits import PARAMETERS, TRAINING_DATA
from ...training.from_scratch import FromScratch
from ...training.trainable import train_only


@dataclass(frozen=True, kw_only=True)
class FullTuning(FromScratch):
    """The training loop on everything; a pre-trained backbone wants a smaller `learning_rate`."""

    @property
    def needs(self) -> frozenset[str]:
        """Training data, and parameters to train: a fingerprint has none."""
        return frozenset({TRAINING_DATA, PARAMETERS})

    @property
    def trains(self) -> str | None:
        """Everything."""
        return "all"

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The backbone with every parameter trainable, in float32."""
        return train_only(backbone, "all", context)
