"""Linear probe: logistic or ridge regression on the features of the frozen body

The evaluation protocol of Alain and Bengio (arXiv 1610.01644), solved to convergence by scikit-learn instead of by
gradient steps. The strength of the penalty is the one with the lowest loss on the validation part; the chosen head is
not fitted again on both parts, so that it has seen the same labels as every other method. With `folds` it is what who
has a small table does: a penalty by cross-validation on the training and the validation part, and a head of both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from torch import Tensor, nn

from ...contracts.context import Context
from ...contracts.method import Curves, Later, Method
from ...contracts.traits import FEATURE_VECTORS, TRAINING_DATA, VALIDATION_PART
from ...prediction.data import PredictionData, targets_of
from ...prediction.feature_extractor import LinearHeadModel
from ...prediction.task import forward_flops, predict, prediction_loss
from ...training.trainable import train_only

Affine = tuple[np.ndarray, np.ndarray]
"""Weight (outputs, width) and bias (outputs,)."""

NEVER = -1e3
"""Logit of a class that has no training example."""


@dataclass(frozen=True, kw_only=True)
class LinearProbe(Method):
    """A convex fit on standardised features: the seed changes nothing."""

    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
    """Weights of the squared norm in addition to the mean loss, to choose from."""
    iterations: int = 2000
    """At most this many L-BFGS steps."""
    folds: Later[int] = 0
    """2 or more: the penalty is the one with the lowest loss in a cross-validation of so many parts, the same for every
    seed, over the training and the validation part together, on which the head is then fitted."""

    stochastic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.penalties or min(self.penalties) <= 0:
            raise ValueError(f"penalties must be one or more numbers above 0, not {self.penalties}")
        if self.folds < 0 or self.folds == 1:
            raise ValueError(f"folds must be 0 or 2 and more, not {self.folds}")

    @property
    def needs(self) -> frozenset[str]:
        """One feature vector and one target per example; with folds, a validation part that is not trained on yet."""
        needed = frozenset({TRAINING_DATA, FEATURE_VECTORS})
        return needed | {VALIDATION_PART} if self.folds else needed

    @property
    def trains(self) -> str | None:
        """The head."""
        return "head"

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen body; the head is what `fit` finds."""
        return train_only(backbone, "head", context)

    def fit(self, model: nn.Module, data: PredictionData, context: Context) -> Curves:
        """Write the best head into `model.head`. The curve is the validation loss by penalty.

        Training costs are those of the features; operations of the solver are not counted.

        Args:
            model: features and a head.
            data: with a validation part.
            context: the cell's context.

        Returns:
            The curve.

        Raises:
            FloatingPointError: no penalty gives a finite validation loss.
            ValueError: a column of targets has no label in what a head is fitted on.
        """
        model = cast(LinearHeadModel, model)
        start = data.clock()
        size = context.budget.batch_size
        x, y = predict(model.body, data.train, data, size).double(), targets_of(data.train)
        x_val, y_val = predict(model.body, data.val, data, size).double(), targets_of(data.val)
        penalties = sorted(self.penalties, reverse=True)
        if self.folds:
            name = "cross-validated loss by penalty"
            x, y = torch.cat([x, x_val]), torch.cat([y, y_val])
            losses = [self._cross_validated(x, y, penalty, context) for penalty in penalties]
            heads = {}
        else:
            name = "val loss by penalty"
            heads = {penalty: self._fitted(x, y, penalty, context) for penalty in penalties}
            losses = [_loss(heads[penalty], x_val, y_val, context) for penalty in penalties]
        curve = list(zip(penalties, losses, strict=True))
        finite = [(loss, -penalty) for penalty, loss in curve if np.isfinite(loss)]
        if not finite:
            raise FloatingPointError(f"no penalty gives a finite validation loss: {curve}")
        best = -min(finite)[1]
        _write(model.head, *(heads[best] if heads else self._fitted(x, y, best, context)))
        seconds = data.clock() - start
        operations = sum(forward_flops(model.body, part, data, size) for part in (data.train, data.val))
        context.ledger.count(model.head.parameters())
        context.ledger.add(seconds=seconds, flops=operations)
        return {name: curve}

    def _fitted(self, x: Tensor, y: Tensor, penalty: float, context: Context) -> tuple[Tensor, Tensor]:
        """Weight and bias for features (N, width) as they are; the penalty is that of standardised ones."""
        mean = x.mean(0)
        std = x.std(0).clamp(min=1e-6)
        standard = ((x - mean) / std).numpy()
        weight, bias = map(torch.from_numpy, self._solve(standard, y.numpy(), penalty, context))
        weight = weight / std
        return weight, bias - weight @ mean

    def _cross_validated(self, x: Tensor, y: Tensor, penalty: float, context: Context) -> float:
        """Mean loss of the examples that a head was not fitted on."""
        total = 0.0
        for fitted, held in KFold(self.folds, shuffle=True, random_state=0).split(np.arange(len(x))):
            head = self._fitted(x[fitted], y[fitted], penalty, context)
            total += _loss(head, x[held], y[held], context) * len(held)
        return total / len(x)

    def _solve(self, x: np.ndarray, y: np.ndarray, penalty: float, context: Context) -> Affine:
        if context.target.kind == "classification":
            return self._classes(x, y, penalty, context.target.outputs)
        solve = self._ridge if context.target.kind == "regression" else self._label
        return _by_column(solve, x, y, penalty)

    def _classes(self, x: np.ndarray, y: np.ndarray, penalty: float, outputs: int) -> Affine:
        weight = np.zeros((outputs, x.shape[1]))
        bias = np.full(outputs, NEVER)
        found = np.unique(y)
        if len(found) == 1:
            bias[found] = 0.0
            return weight, bias
        fitted = self._logistic(x, y, penalty)
        if len(found) == 2:  # scikit-learn gives the difference of the two logits
            half = np.array([-0.5, 0.5])
            weight[found] = np.outer(half, fitted.coef_)
            bias[found] = half * fitted.intercept_
        else:
            weight[found] = fitted.coef_
            bias[found] = fitted.intercept_
        return weight, bias

    def _label(self, x: np.ndarray, y: np.ndarray, penalty: float) -> Affine:
        if len(np.unique(y)) == 1:  # no second class to fit: the smoothed frequency
            fraction = (y.sum() + 0.5) / (len(y) + 1)
            return np.zeros((1, x.shape[1])), np.log([fraction / (1 - fraction)])
        fitted = self._logistic(x, y, penalty)
        return fitted.coef_, np.atleast_1d(fitted.intercept_)

    def _ridge(self, x: np.ndarray, y: np.ndarray, penalty: float) -> Affine:
        fitted = Ridge(alpha=penalty * len(x)).fit(x, y)
        return fitted.coef_[None], np.array([fitted.intercept_])

    def _logistic(self, x: np.ndarray, y: np.ndarray, penalty: float) -> LogisticRegression:
        return LogisticRegression(C=1 / (penalty * len(x)), max_iter=self.iterations).fit(x, y)


def _loss(head: tuple[Tensor, Tensor], x: Tensor, y: Tensor, context: Context) -> float:
    weight, bias = head
    return prediction_loss(x @ weight.T + bias, y, context.target).item()


def _by_column(
    solve: Callable[[np.ndarray, np.ndarray, float], Affine], x: np.ndarray, y: np.ndarray, penalty: float
) -> Affine:
    """One fit for each column of `y` (N, T), on the rows whose label is known."""
    fits = []
    for index, column in enumerate(y.T):
        known = ~np.isnan(column)
        if not known.any():
            raise ValueError(f"target column {index} has no label in the training part")
        fits.append(solve(x[known], column[known], penalty))
    return np.concatenate([weight for weight, _ in fits]), np.concatenate([bias for _, bias in fits])


@torch.no_grad()
def _write(head: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    head.weight.copy_(weight)
    head.bias.copy_(bias)
