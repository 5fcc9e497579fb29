"""Constant: the same guess for every example, without a look at it

The frequencies of the training labels, or the mean of its values: what any row must beat to have learnt anything.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from ...contracts.context import Context
from ...contracts.method import Curves, Method
from ...contracts.traits import FEATURE_VECTORS, TRAINING_DATA
from ...prediction.data import PredictionData, targets_of
from ...prediction.feature_extractor import LinearHeadModel
from ...training.trainable import train_only

ROLE = "control"


@dataclass(frozen=True, kw_only=True)
class Constant(Method):
    """Nothing to configure: a head whose weight is zero."""

    stochastic: ClassVar[bool] = False

    @property
    def needs(self) -> frozenset[str]:
        """Labels, and a head that sees one feature vector per example."""
        return frozenset({TRAINING_DATA, FEATURE_VECTORS})

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen body; the head is what `fit` writes."""
        return train_only(backbone, "head", context)

    def fit(self, model: nn.Module, data: PredictionData, context: Context) -> Curves:
        """Write the guess into the bias of the head: log frequencies, logits of the frequencies, or means.

        Frequencies are smoothed by half an example, so that a class without one keeps a finite logarithm.
        """
        model = cast(LinearHeadModel, model)
        targets = targets_of(data.train)
        with torch.no_grad():
            model.head.weight.zero_()
            model.head.bias.copy_(_guess(targets, context))
        context.ledger.count(model.head.parameters())
        context.ledger.add(seconds=0.0, flops=0.0)
        return {}


def _guess(targets: Tensor, context: Context) -> Tensor:
    """Outputs (outputs,) from targets (N,) or (N, T)."""
    if context.target.kind == "classification":
        counts = torch.bincount(targets, minlength=context.target.outputs).double() + 0.5
        return (counts / counts.sum()).log().float()
    if context.target.kind == "regression":
        return targets.nanmean(dim=0).nan_to_num()
    known = (~targets.isnan()).sum(dim=0)
    fraction = (targets.nansum(dim=0) + 0.5) / (known + 1)
    return fraction.logit()
