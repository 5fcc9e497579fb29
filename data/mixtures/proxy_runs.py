"""Small runs on random mixtures, from whose losses a regression says what mixture is best.

The procedure of RegMix (arXiv 2407.01492) in the form of Olmix (arXiv 2602.12237): `proxy_mixtures` draws mixtures, a
small model is trained on each, `log_linear.fit` says how losses move with the fractions, and `proposer.propose` finds
the best mixture; `reuse` keeps what earlier runs found where data sets are added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import MixtureError
from .weights import checked_weights

STRENGTHS = tuple(np.logspace(-1, np.log10(5), 15).tolist())
"""How near to the prior the mixtures of small runs are: 0.1 is nearly one data set, 5 near the prior."""


@dataclass(frozen=True)
class ProxyRun:
    """What a small run was trained on, and what came of it.

    Args:
        weights: fraction of each data set.
        losses: by held-out set, mostly one for each data set, in nats (or bits) per token (or byte).
    """

    weights: Mapping[str, float]
    losses: Mapping[str, float]


def proxy_mixtures(
    prior: Mapping[str, float], count: int, seed: int, temperature: float = 2.0
) -> list[dict[str, float]]:
    """Random mixtures for small runs: Dirichlet around prior ** (1 / temperature), of many strengths.

    Args:
        prior: weights by data set.
        count: how many.
        seed: of the draws.
        temperature: above 1 it makes the prior more even.

    Returns:
        Weights by data set, for each run.

    Raises:
        MixtureError: bad weights, and a count below 1.
    """
    if count < 1:
        raise MixtureError(f"{count} small runs are none; give at least 1")
    names = tuple(prior)
    weights = checked_weights(prior, names)
    smoothed_N = np.array([weights[name] for name in names]) ** (1 / temperature)
    smoothed_N /= smoothed_N.sum()
    random = np.random.RandomState(seed)  # the old generator, whose numbers never change between versions
    mixtures = []
    for _ in range(count):
        strength = STRENGTHS[random.randint(len(STRENGTHS))]
        mixtures.append(dict(zip(names, _dirichlet(random, strength * smoothed_N).tolist(), strict=True)))
    return mixtures


def as_arrays(runs: Sequence[ProxyRun], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Fractions (runs, data sets) and losses (runs, held-out sets) of small runs.

    Args:
        runs: one or more, all with losses of the same held-out sets.
        names: the data sets.

    Returns:
        Both, in the order of the names and of the first run's losses.

    Raises:
        MixtureError: no run, weights that are none, a run without one of the losses, and one that is not above 0.
    """
    if not runs:
        raise MixtureError("there is no small run; train one for each of `proxy_mixtures`")
    weights_RN = np.array([list(checked_weights(run.weights, tuple(names)).values()) for run in runs])
    measured = tuple(runs[0].losses)
    for number, run in enumerate(runs):
        if set(run.losses) != set(measured):
            raise MixtureError(
                f"small run {number} has losses of {sorted(run.losses)}, the first of {sorted(measured)}"
            )
    losses_RJ = np.array([[run.losses[name] for name in measured] for run in runs], dtype=np.float64)
    if not (np.isfinite(losses_RJ) & (losses_RJ > 0)).all():
        raise MixtureError("the loss of a small run is not finite and above 0; leave that run out")
    return weights_RN, losses_RJ


def _dirichlet(random: np.random.RandomState, strength_N: np.ndarray) -> np.ndarray:
    """A random mixture (N,). Data sets whose prior is 0 get no weight."""
    drawn_N = np.zeros(len(strength_N))
    possible_N = strength_N > 0
    drawn_N[possible_N] = random.dirichlet(strength_N[possible_N])
    return drawn_N
