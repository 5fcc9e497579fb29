"""Clean features: standardised on the training part, without broken or constant columns, clipped

The first link of a row such as `[clean_features, linear_probe]` on features of very different sizes, like descriptors
of molecules: one of them may be 1e30 for a large molecule, or not a number for an odd one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Anatomy, describe, register_describer

from ...contracts.context import Context
from ...contracts.method import Curves, Method
from ...contracts.traits import FEATURE_VECTORS, TRAINING_DATA
from ...prediction.data import PredictionData
from ...prediction.feature_extractor import FeatureExtractor, LinearHeadModel
from ...prediction.task import forward_flops, predict


class CleanedBody(FeatureExtractor):
    """A body whose features are (x - mean) * scale, clipped to `bound` on both sides.

    Dropped columns have scale 0, so that they are 0 for every example. What is not a number in another column counts as
    the mean. Before `learn` nothing is changed but for that.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, body: FeatureExtractor, bound: float) -> None:
        super().__init__()
        self.body = body
        self.bound = bound
        self.width = body.width
        self.unit = body.unit
        self.alike = body.alike
        self.padded = body.padded
        self.register_buffer("mean", torch.zeros(body.width))
        self.register_buffer("scale", torch.ones(body.width))

    def learn(self, features: Tensor) -> int:
        """Mean and scale of the features (N, width) of the training part; returns the number of columns that stay."""
        finite = features.isfinite().all(0)
        values = features.double().where(finite, 0.0)
        spread = values.std(0, correction=0)
        # What is left of a constant after rounding is no spread.
        kept = finite & (spread > 1e-6 * values.abs().amax(0))
        self.mean.copy_(values.mean(0).where(kept, 0.0))
        self.scale.copy_((1 / spread).where(kept, 0.0))
        return int(kept.sum())

    def encode(self, raw: Sequence[Any]) -> Sequence[Any]:
        """As the body."""
        return self.body.encode(raw)

    def collate(self, items: list[Any]) -> Any:
        """As the body."""
        return self.body.collate(items)

    def forward(self, inputs: Any) -> Tensor:
        """Features of shape (B, width)."""
        features = self.body(inputs)
        known = features.where(features.isfinite() & (self.scale != 0), self.mean)
        return ((known - self.mean) * self.scale).clamp(-self.bound, self.bound)


@dataclass(frozen=True, kw_only=True)
class CleanFeatures(Method):
    """Nothing trains: columns are looked at without their labels."""

    bound: float = 5.0
    """Standard deviations beyond which a value is clipped."""

    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.bound > 0:
            raise ValueError(f"bound must be above 0, not {self.bound}")

    @property
    def needs(self) -> frozenset[str]:
        """A training part, and one feature vector per example."""
        return frozenset({TRAINING_DATA, FEATURE_VECTORS})

    @property
    def trains(self) -> str | None:
        """Nothing: the head is what a later link finds."""
        return "none"

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The model, whose body is in a `CleanedBody`."""
        model = cast(LinearHeadModel, backbone)
        model.body = CleanedBody(model.body, self.bound).to(context.device)
        return model

    def fit(self, model: nn.Module, data: PredictionData, context: Context) -> Curves:
        """Look at the features of the training part; `details["columns"]` has their number, and how many stay.

        Raises:
            FloatingPointError: no column is left.
        """
        body = cast(CleanedBody, cast(LinearHeadModel, model).body)
        start = data.clock()
        size = context.budget.batch_size
        kept = body.learn(predict(body.body, data.train, data, size))
        if not kept:
            raise FloatingPointError(f"none of the {body.width} columns is finite and varies over the training part")
        context.note("columns", {"all": body.width, "kept": kept})
        operations = forward_flops(body.body, data.train, data, size)
        context.ledger.add(seconds=data.clock() - start, flops=operations)
        return {}


def describe_cleaned_body(body: Any) -> Anatomy:
    """The anatomy of a `CleanedBody`: that of the body inside."""
    return replace(describe(body.body), model=body)


register_describer(CleanedBody, describe_cleaned_body)
