"""Mixture to dense: each mixture becomes one dense FFN of its most used experts, taught by the mixture itself

Kim et al., "Pruning and Distilling Mixture-of-Experts into Dense Language Models" (arXiv 2605.28207; asked of PEFT in
its pull request 3604): score the experts, put the first K side by side, y = shared(x) + sum of c_e E_e(x), then train
by KL(mixture || dense) on the logits at temperature 1. The paper scores in seven ways and merges experts in some; here
are its selection frequency and its conditional probability, and no merging. c_e is the expert's mean routing weight,
scaled up to what all experts have in the mean, where the paper takes 1/K.
"""

import copy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.conversion.densifying.conversion import mixture_to_dense
from sparsebench.models.moe.conversion.output_divergence import output_divergence
from sparsebench.models.precision import cast

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CALIBRATION_DATA, CAUSAL, EXPERTS
from ...methods.moe._calibration import expert_statistics
from ...methods.shared._tuned import TunedMethod
from ._distillation import train_on_calibration


@dataclass(frozen=True, kw_only=True)
class MixtureToDense(TunedMethod):
    """A dense model of the size of the active or of all parameters; all of it learns from the mixture."""

    size: Literal["active", "total"] = "active"
    """As many experts as a token chooses, or all."""
    score: Literal["frequency", "conditional"] = "frequency"
    """Which experts stay: those that most tokens chose, or those of the greatest mean weight where they are chosen."""
    passes: int = 2
    """Passes over the calibration text in which it learns from the mixture; 0 leaves it as it starts."""
    distillation_rate: float = 1e-4
    """Peak learning rate of that training."""

    def __post_init__(self) -> None:
        if self.passes < 0:
            raise ValueError(f"passes={self.passes} must be 0 or more")
        if not self.distillation_rate > 0:
            raise ValueError(f"distillation_rate={self.distillation_rate} must be above 0")

    @property
    def needs(self) -> frozenset[str]:
        """A language model with experts, and text that they see."""
        return frozenset({EXPERTS, CAUSAL, CALIBRATION_DATA})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The dense model. Raises `NotApplicable` for a mixture that no dense architecture is like."""
        mixture = copy.deepcopy(backbone).requires_grad_(False).eval() if self.passes else backbone
        statistics = expert_statistics(backbone, context)
        try:
            dense, kept = mixture_to_dense(
                backbone, context.calibration(), size=self.size, score=self.score, statistics=statistics
            )
        except ModelError as error:
            raise NotApplicable(str(error)) from error
        context.note("experts kept", {str(block): found.experts for block, found in kept.items()})
        if not self.passes:
            return dense

        def loss(model: nn.Module, batch: object) -> torch.Tensor:
            with torch.no_grad():
                target = context.outputs(mixture, batch)
            return output_divergence(target, context.outputs(model, batch))

        train_on_calibration(dense.float(), loss, context, passes=self.passes, learning_rate=self.distillation_rate)
        return cast(dense, context.dtype)
