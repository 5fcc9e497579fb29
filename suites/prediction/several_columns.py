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
    found = np.nanstd(values, axis=0)
    return np.where(found > 0, found, 1.0)


def of_columns(
    scores: Scores, outputs: Tensor, targets: Tensor, names: Sequence[str], divisors: Sequence[float]
) -> Scores:
    """Scores of divided columns, which say what they are, with the RMSE of each column beside them.

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
    metrics = {name: replace(metric, unit=OF_COLUMNS) for name, metric in scores.metrics.items()}
    return replace(scores, metrics=metrics, details={**scores.details, BY_COLUMN: alone})
