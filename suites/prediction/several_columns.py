"""RMSE of several columns in one number: each column in its own standard deviations, so that all of them count."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..contracts.metrics import Scores

OF_COLUMNS = "standard deviations of each column"
"""The unit of such a score."""
BY_COLUMN = "rmse by column"
"""In `Outcome.details`: of each column its RMSE in its own unit (None where no value is known), and the divisor."""


def deviations(values: np.ndarray) -> np.ndarray:
    """What each column is divided by.

    Args:
        values: (N, columns), NaN where unknown; each column has a known value.

    Returns:
        Standard deviations of the known values (columns,); 1 of a column that is constant.
    """
    # The standard deviation of 0.1, 0.1, 0.1 is 1e-17: the mean is rounded.
    differs = np.nanmax(values, axis=0) > np.nanmin(values, axis=0)
    return np.where(differs, np.nanstd(values, axis=0), 1.0)


def of_columns(
    scores: Scores, outputs: Tensor, targets: Tensor, names: Sequence[str], divisors: Sequence[float]
) -> Scores:
    """Scores of divided columns, which say what they are, with the RMSE of each column beside them.

    Their standard error is that over examples: the values of one molecule go wrong together, and are not as many
    independent ones.

    Args:
        scores: of outputs and targets that were divided.
        outputs: (N, columns), not divided.
        targets: (N, columns), not divided, NaN where unknown.
        names: of the columns.
        divisors: of the columns.

    Returns:
        The scores with their unit and `details[BY_COLUMN]`.
    """
    alone: dict[str, Mapping[str, float | None]] = {}
    for place, name in enumerate(names):
        squares = (outputs[:, place].double() - targets[:, place].double()) ** 2
        known = squares[~torch.isnan(squares)]
        rmse = known.mean().sqrt().item() if len(known) else None
        alone[name] = {"rmse": rmse, "standard deviation": float(divisors[place])}
    divided = (outputs.double() - targets.double()) / torch.tensor(divisors, dtype=torch.float64)
    stderr = _over_examples(divided.numpy() ** 2)
    metrics = {name: replace(metric, unit=OF_COLUMNS, stderr=stderr) for name, metric in scores.metrics.items()}
    return replace(scores, metrics=metrics, details={**scores.details, BY_COLUMN: alone})


def _over_examples(squares_NT: np.ndarray) -> float | None:
    """Standard error of the root mean square over all known values (NaN: unknown), from N examples: delta method."""
    known_NT = ~np.isnan(squares_NT)
    counts_N = known_NT.sum(axis=1)
    sums_N = np.where(known_NT, squares_NT, 0.0).sum(axis=1)
    mean = sums_N.sum() / counts_N.sum()
    if mean == 0 or len(sums_N) < 2:
        return None
    parts_N = (sums_N - mean * counts_N) / counts_N.mean()
    return float(parts_N.std(ddof=1) / len(parts_N) ** 0.5 / (2 * mean**0.5))
