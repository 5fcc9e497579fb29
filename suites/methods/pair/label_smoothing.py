"""Adapters trained with label smoothing: what of a distillation is gained by soft targets alone

Szegedy et al. (arXiv 1512.00567), section 7: the target is the label with weight 1 - `smoothing`, and all classes alike
with the rest. The control of `idat` and `gist`, whose logits are soft targets, too. Of several labels at once, each
moves towards one half; regressed values, which are standardised, move towards their mean. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterConfig

from ...contracts.context import Context, Target
from ...contracts.method import Later
from ...contracts.traits import FEATURE_VECTORS
from ...prediction.task import prediction_loss
from ..adapters._drop_path import DropPathMethod
from ..shared._released import ReleasedByTask
from ._teacher import Adapters, adapters_of

ROLE = "control"


@dataclass(frozen=True, kw_only=True)
class LabelSmoothing(ReleasedByTask, DropPathMethod):
    """The adapters of `idat`, without a teacher."""

    smoothing: float = 0.1
    """Weight of the uniform distribution; 0 is the plain adapter."""
    adapter: Adapters = "bottleneck"
    """The adapters."""
    rank: int = 8
    """Hidden units of each adapter."""
    init: Literal["normal", "zero_up"] = "zero_up"
    """How adapters start: as no change, or with both matrices N(0, 0.02²)."""
    drop_path: Later[float] = 0.0
    """Rate at which the branches of the last block are dropped in training, falling in a straight line to 0 at the
    first: 0, 0.1 or 0.2 in the release of `idat`, by task."""

    release: ClassVar[str] = "idat"
    chosen_by_training = (*DropPathMethod.chosen_by_training, "smoothing")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing={self.smoothing} must lie from 0 to below 1")
        if self.rank < 1:
            raise ValueError(f"rank={self.rank} must be 1 or more")

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The adapters."""
        return adapters_of(self.adapter, backbone, rank=self.rank, init=self.init, **common)

    @property
    def needs(self) -> frozenset[str]:
        """One target for each example."""
        return super().needs | {FEATURE_VECTORS}

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """The task's loss with the targets moved."""
        inputs, targets = batch
        outputs = model(inputs)
        if context.target.kind == "classification":
            return F.cross_entropy(outputs, targets, label_smoothing=self.smoothing)
        return prediction_loss(outputs, smoothed(targets, self.smoothing, context.target), context.target)


def smoothed(targets: Tensor, smoothing: float, target: Target) -> Tensor:
    """Labels from 0 to 1 moved to one half, or standardised values to 0; a missing one (NaN) stays missing."""
    middle = 0.5 if target.kind == "multilabel" else 0.0
    return (1 - smoothing) * targets + smoothing * middle
