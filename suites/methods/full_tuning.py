"""Full tuning: all parameters of backbone and head train

The reference point of every parameter-efficient method. On a backbone with random weights (GIN) it is training from
scratch. Fine-tuning as the shared first step of transfer goes back to Girshick et al. (2014, R-CNN, section 2.3).
"""

from dataclasses import dataclass

from torch import nn

from ..contracts.context import Context
from ..contracts.traits import Backbone, TaskTraits
from ..training.method import TrainedMethod


@dataclass(frozen=True, kw_only=True)
class FullTuning(TrainedMethod):
    """The training loop on everything; a pre-trained backbone wants a smaller `learning_rate`."""

    def unsupported(self, task: type[TaskTraits], backbone: Backbone) -> str | None:
        """Most language tasks do not train, and a fingerprint has nothing to train."""
        if not task.trains:
            return "this task does not train"
        if backbone.family == "fingerprint":
            return "the backbone has no parameters"
        return None

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The backbone with every parameter trainable, in float32: bfloat16 is too coarse for small updates."""
        return backbone.float().requires_grad_(True)
