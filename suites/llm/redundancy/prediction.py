"""What a loss is predicted as from measures, and how far off that is for a mixture that nothing was learnt from.

Losses span decades, so their logarithm is predicted, and an error is a factor. The predictor is a ridge regression on
standardised measures with a penalty of one mixture's weight, fixed before anybody looked; mixtures weigh the same,
however many layers they have. The trivial predictor says the mean of the others. What is compared is their error by
mixture, in pairs, with Student's interval over mixtures (or over origins: mixtures that were made from one model).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparsebench.reports.statistics import ALPHA
from sparsebench.reports.statistics.intervals import Part, half_width

FLOOR = 1e-3
"""Bits per byte: smaller losses count as this one."""
PENALTY = 1.0


@dataclass(frozen=True)
class Point:
    """A mixture, or one layer of it: measures before, and the loss after a cut, in bits per byte."""

    mixture: str
    origin: str
    measures: dict[str, float]
    loss: float


@dataclass(frozen=True)
class Errors:
    """Mean absolute errors of the logarithm of the loss, with half widths of 95 % intervals over what was left out.

    `gain`: how much less than that of the trivial predictor; `groups` is how many were left out, one after the other.
    """

    error: float
    half_width: float
    gain: float
    gain_half_width: float
    groups: int
    points: int


def leave_out(points: Sequence[Point], names: Sequence[str], by: Literal["mixture", "origin"] = "mixture") -> Errors:
    """Learn from all but one group, predict it, and so for every group.

    Args:
        points: of at least three groups.
        names: the measures that the predictor may see; none makes it the trivial one.
        by: what is left out together.

    Returns:
        The errors.

    Raises:
        ValueError: points of fewer than three groups, with which there is nothing to learn from or no interval.
    """
    groups = list(dict.fromkeys(getattr(point, by) for point in points))
    if len(groups) < 3:
        raise ValueError(f"{len(groups)} of each {by} to leave out: it takes three")
    own: list[float] = []
    trivial: list[float] = []
    for group in groups:
        others = [point for point in points if getattr(point, by) != group]
        left = [point for point in points if getattr(point, by) == group]
        own.append(_error(predict(others, left, names), left))
        trivial.append(_error(predict(others, left, ()), left))
    gains = np.subtract(trivial, own)
    return Errors(
        error=float(np.mean(own)),
        half_width=_half_width(own),
        gain=float(gains.mean()),
        gain_half_width=_half_width(gains.tolist()),
        groups=len(groups),
        points=len(points),
    )


def predict(learnt: Sequence[Point], asked: Sequence[Point], names: Sequence[str]) -> list[float]:
    """The logarithms of the losses of some points, by ridge regression on others.

    Args:
        learnt: points whose losses are known.
        asked: points of which the measures are looked at.
        names: the measures; with none all are the mean.

    Returns:
        A number for each of `asked`.
    """
    counts = {point.mixture: 0 for point in learnt}
    for point in learnt:
        counts[point.mixture] += 1
    weights = np.array([1 / counts[point.mixture] for point in learnt])
    targets = np.array([log_loss(point) for point in learnt])
    mean = np.average(targets, weights=weights)
    if not names:
        return [float(mean)] * len(asked)
    rows = _matrix(learnt, names)
    centre = np.average(rows, axis=0, weights=weights)
    scale = np.sqrt(np.average((rows - centre) ** 2, axis=0, weights=weights))
    # A measure that is the same everywhere tells nothing: it stays 0.
    scale[scale == 0] = np.inf
    known = (rows - centre) / scale
    weighted = known * weights[:, None]
    slopes = np.linalg.solve(known.T @ weighted + PENALTY * np.eye(len(names)), weighted.T @ (targets - mean))
    return (mean + (_matrix(asked, names) - centre) / scale @ slopes).tolist()


def log_loss(point: Point) -> float:
    """The natural logarithm of the loss, `FLOOR` at least."""
    return math.log(max(FLOOR, point.loss))


def _matrix(points: Sequence[Point], names: Sequence[str]) -> np.ndarray:
    return np.array([[point.measures[name] for name in names] for point in points])


def _error(predicted: Sequence[float], points: Sequence[Point]) -> float:
    """The mean over mixtures, so that each counts once."""
    by_mixture: dict[str, list[float]] = {}
    for value, point in zip(predicted, points, strict=True):
        by_mixture.setdefault(point.mixture, []).append(abs(value - log_loss(point)))
    return float(np.mean([np.mean(errors) for errors in by_mixture.values()]))


def _half_width(values: Sequence[float]) -> float:
    number = len(values)
    return half_width([Part(float(np.var(values, ddof=1)) / number, number - 1)], ALPHA)
