"""Scores of predictions with standard errors: accuracy, macro F1, RMSE, correlations, ROC-AUC."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparsebench.reports.records.record import Metric

from .context import Target

BOOTSTRAP_DRAWS = 200


@dataclass(frozen=True)
class Scores:
    """Metrics of one part, the name of the main one, the per-example outcomes behind them, and anything else."""

    main: str
    metrics: Mapping[str, Metric]
    examples: Mapping[str, Sequence[Any]]
    details: Mapping[str, Any] = field(default_factory=dict)
    """What is worth keeping and is no score, as JSON values."""


def score(outputs: Tensor, targets: Tensor, target: Target, generator: torch.Generator) -> Scores:
    """Score outputs against targets by the metric of the target's kind.

    Args:
        outputs: (N, outputs).
        targets: (N,) class numbers, or (N, outputs) with NaN for missing labels.
        target: says the kind.
        generator: for bootstraps.

    Returns:
        The metrics, and outcomes by example.

    Raises:
        FloatingPointError: an output is not finite: an argmax or a rank would hide it.
    """
    bad = int((~outputs.isfinite()).any(dim=1).sum())
    if bad:
        raise FloatingPointError(f"outputs of {bad} of {len(outputs)} examples are not finite")
    if target.kind == "classification":
        return accuracy(outputs, targets)
    if target.kind == "regression":
        return root_mean_squared_error(outputs, targets)
    return area_under_curve(outputs, targets, generator)


def accuracy(outputs: Tensor, targets: Tensor) -> Scores:
    """Top-1 accuracy, with the binomial standard error.

    Args:
        outputs: (N, classes).
        targets: (N,) class numbers.

    Returns:
        The metric, and 1 or 0 by example.
    """
    correct = (outputs.argmax(dim=1) == targets).int()
    n = len(correct)
    fraction = correct.float().mean().item()
    stderr = (fraction * (1 - fraction) / max(1, n - 1)) ** 0.5
    metric = Metric(
        value=fraction, stderr=stderr, n=n, higher_is_better=True, chance=1 / outputs.shape[1], unit="share"
    )
    return Scores("accuracy", {"accuracy": metric}, {"correct": correct.tolist()})


def root_mean_squared_error(outputs: Tensor, targets: Tensor) -> Scores:
    """RMSE over all known values, in the targets' unit; standard error by the delta method on the mean square.

    Args:
        outputs: (N, columns).
        targets: (N, columns), NaN where unknown.

    Returns:
        The metric, with predictions and targets by example.
    """
    known = ~torch.isnan(targets)
    squares = (outputs[known].double() - targets[known].double()) ** 2
    rmse = squares.mean().sqrt().item()
    stderr = None
    if rmse > 0 and len(squares) > 1:
        stderr = (squares.std() / len(squares) ** 0.5 / (2 * rmse)).item()
    metric = Metric(value=rmse, stderr=stderr, n=len(squares), higher_is_better=False, chance=None, unit="")
    return Scores("rmse", {"rmse": metric}, {"prediction": outputs.tolist(), "target": _plain(targets)})


def area_under_curve(outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Scores:
    """ROC-AUC, averaged over the columns with both classes; standard error by bootstrap over examples.

    Args:
        outputs: (N, columns).
        targets: (N, columns) of 0 and 1, NaN where unknown.
        generator: for the bootstrap.

    Returns:
        The metric, with scores and targets by example.

    Raises:
        ValueError: no column has both classes.
    """
    scores_NT, labels_NT = outputs.double().numpy(), targets.numpy()
    n, value = len(labels_NT), _mean_auc(scores_NT, labels_NT)
    if np.isnan(value):
        raise ValueError(f"no column of the {n} examples has both classes: ROC-AUC is not defined")
    metric = Metric(
        value=value,
        stderr=_bootstrap(lambda rows: _mean_auc(scores_NT[rows], labels_NT[rows]), n, generator),
        n=n,
        higher_is_better=True,
        chance=0.5,
        unit="share",
    )
    return Scores("roc_auc", {"roc_auc": metric}, {"score": outputs.tolist(), "target": _plain(targets)})


def macro_f1(outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Metric:
    """Mean over classes of the F1 of class numbers (N,), over the classes that are there or predicted.

    Standard error by bootstrap over examples.
    """
    predicted, actual, classes = outputs.argmax(dim=1).numpy(), targets.numpy(), outputs.shape[1]
    n = len(actual)
    return Metric(
        value=_mean_f1(predicted, actual, classes),
        stderr=_bootstrap(lambda rows: _mean_f1(predicted[rows], actual[rows], classes), n, generator),
        n=n,
        higher_is_better=True,
        unit="share",
    )


def correlations(outputs: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Metric]:
    """Pearson's and Spearman's correlation of outputs (N, 1) with known targets (N, 1); 0 where either is constant.

    Standard errors by bootstrap over examples.
    """
    from scipy.stats import rankdata

    x, y = outputs[:, 0].double().numpy(), targets[:, 0].double().numpy()

    def pearson(rows: np.ndarray | slice) -> float:
        return _pearson(x[rows], y[rows])

    def spearman(rows: np.ndarray | slice) -> float:
        return _pearson(rankdata(x[rows]), rankdata(y[rows]))

    return {
        name: Metric(
            value=statistic(slice(None)),
            stderr=_bootstrap(statistic, len(x), generator),
            n=len(x),
            higher_is_better=True,
            chance=0.0,
            unit="",
        )
        for name, statistic in (("pearson", pearson), ("spearman", spearman))
    }


def _bootstrap(statistic: Callable[[np.ndarray], float], n: int, generator: torch.Generator) -> float:
    """Standard deviation of `statistic(rows)` over samples of n of n rows, with replacement."""
    draws = torch.randint(n, (BOOTSTRAP_DRAWS, n), generator=generator).numpy()
    values = [statistic(rows) for rows in draws]
    return float(np.nanstd(values, ddof=1))


def _mean_f1(predicted: np.ndarray, actual: np.ndarray, classes: int) -> float:
    hits = np.bincount(actual[predicted == actual], minlength=classes)
    both = np.bincount(predicted, minlength=classes) + np.bincount(actual, minlength=classes)
    return float((2 * hits[both > 0] / both[both > 0]).mean())


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    x = x - x.mean()
    y = y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    if scale == 0:
        return 0.0  # one of them is constant
    return float(x @ y / scale)


def _mean_auc(scores_NT: np.ndarray, labels_NT: np.ndarray) -> float:
    """Mean over the columns with both classes, NaN without one; by ranks, as in the Mann-Whitney test."""
    from scipy.stats import rankdata

    columns = []
    for scores_N, labels_N in zip(scores_NT.T, labels_NT.T, strict=True):
        known = ~np.isnan(labels_N)
        positive = labels_N[known] == 1
        ones, zeros = positive.sum(), (~positive).sum()
        if ones and zeros:
            ranks = rankdata(scores_N[known])
            columns.append((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
    return float(np.mean(columns)) if columns else float("nan")


def _plain(targets: Tensor) -> list[Any]:
    """Targets as JSON values, None for a missing label."""
    values = targets.numpy().astype(object)
    values[torch.isnan(targets).numpy()] = None
    return values.tolist()
