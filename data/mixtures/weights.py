"""Weights of a mixture: checked, and the one rule by which gate loads and losses move them."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from ..errors import MixtureError
from ..manifest import near
from .signal import check_names

Choice = TypeVar("Choice", bound=str)
SLACK = 5e-3
"""How far from 1 the sum of given weights may be: people round shares, to three digits or so."""


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of the data sets of a mixture. Raises MixtureError where there is none, or one twice."""
    if isinstance(names, str):
        raise MixtureError(f"give a list of names of data sets, not the one text {names!r}")
    found = tuple(names)
    if not found:
        raise MixtureError("a mixture needs at least one data set")
    for name in found:
        if found.count(name) > 1:
            raise MixtureError(f"data set {name!r} is in the mixture twice; give each one name")
    return found


def checked_weights(weights: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Weights in the order of the data sets, divided by their sum.

    Args:
        weights: by data set.
        names: the data sets.

    Returns:
        The weights.

    Raises:
        MixtureError: a data set without a weight, an unknown name, a weight that is negative or not finite, and weights
            whose sum is not 1 (up to rounding).
    """
    check_names("weights", weights, names)
    for name in names:
        if not (math.isfinite(weights[name]) and weights[name] >= 0):
            raise MixtureError(f"the weight of data set {name!r} is {weights[name]}; give a number of at least 0")
    total = math.fsum(weights[name] for name in names)
    if abs(total - 1) > SLACK:
        raise MixtureError(f"the weights {dict(weights)} sum to {total:g}, not to 1; divide each by {total:g}")
    return {name: float(weights[name]) / total for name in names}


def checked_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Numbers of rows by data set. Raises MixtureError for a data set without rows."""
    checked_names(tuple(sizes))
    for name, size in sizes.items():
        if size < 1:
            raise MixtureError(f"data set {name!r} has {size} rows; give it one, or take it out of the mixture")
    return {name: int(size) for name, size in sizes.items()}


def checked_choice(what: str, value: Choice, known: Sequence[str]) -> Choice:
    """``value``. Raises MixtureError, with near names, where it is none of ``known``."""
    if value not in known:
        raise MixtureError(f"no {what} {value!r}{near(str(value), known)}")
    return value


def checked_rates(eta: float, smoothing: float) -> None:
    """Raises MixtureError for a step size eta that is not above 0, or smoothing that is no share."""
    if not (math.isfinite(eta) and eta > 0):
        raise MixtureError(f"eta is {eta}; give a step size above 0")
    if not 0 <= smoothing <= 1:
        raise MixtureError(f"smoothing is {smoothing}; it is the uniform fraction of the weights, from 0 to 1")


def moved(weights_N: np.ndarray, delta_N: np.ndarray, eta: float, smoothing: float) -> np.ndarray:
    """Multiplicative weights with a uniform part: (N,) from (N,).

    a = softmax(log w + eta * delta); w' = (1 - c) a + c / N, divided by its sum (MoE-SFT, arXiv 2406.11256, and
    Sheared-LLaMA, arXiv 2310.06694). Every weight is then within [c / N, 1 - c + c / N].

    Args:
        weights_N: w.
        delta_N: what moves them.
        eta: step size.
        smoothing: c, the fraction that is uniform.

    Returns:
        w'.
    """
    with np.errstate(divide="ignore"):
        logits_N = np.log(weights_N) + eta * delta_N  # a weight of 0 has the logit -inf, and an a of 0
    a_N = np.exp(logits_N - logits_N.max())
    a_N /= a_N.sum()
    smoothed_N = (1 - smoothing) * a_N + smoothing / len(a_N)
    return smoothed_N / smoothed_N.sum()
