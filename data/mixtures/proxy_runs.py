"""Mixtures for small runs, and what a regression on their losses says of all mixtures: the procedure of RegMix.

RegMix: Data Mixture as Regression (arXiv 2407.01492). Train small models, each on a random mixture; fit the held-out
loss as a function of the weights; predict it for very many random mixtures, and average the best ones.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from ..errors import MixtureError
from .weights import checked_choice, checked_weights

SIMULATED = 100_000
"""Mixtures whose loss is predicted."""
BEST = 128
"""Mixtures of lowest predicted loss that are averaged."""
STRENGTHS = tuple(np.logspace(-1, np.log10(5), 15).tolist())
"""How near to the prior the mixtures of small runs are: 0.1 is nearly one data set, 5 near the prior."""

Regressor = Literal["linear", "boosted"]


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
        mixtures.append(dict(zip(names, _dirichlet(random, strength * smoothed_N, 1)[0].tolist(), strict=True)))
    return mixtures


def best_mixture(
    runs: Sequence[tuple[Mapping[str, float], float]],
    prior: Mapping[str, float],
    regressor: Regressor = "linear",
    seed: int = 0,
) -> dict[str, float]:
    """The mean of the mixtures with the lowest predicted losses.

    Args:
        runs: weights and held-out loss of each small run.
        prior: shares around which mixtures are simulated; the sizes of the data sets, in the paper.
        regressor: "linear", or "boosted" trees (the paper prefers LightGBM, with 512 runs; these are scikit-learn's).
            Trees need hundreds of runs, a line about twice as many as data sets.
        seed: of the simulated mixtures.

    Raises:
        MixtureError: for fewer runs than data sets + 1, bad weights, and a loss that is not finite.
    """
    names = tuple(prior)
    prior_N = np.array(list(checked_weights(prior, names).values()))
    if len(runs) <= len(names):
        raise MixtureError(
            f"{len(runs)} small runs cannot tell {len(names)} data sets apart; give more than {len(names)}"
        )
    weights_RN = np.array([list(checked_weights(weights, names).values()) for weights, _ in runs])
    losses_R = np.array([loss for _, loss in runs], dtype=np.float64)
    if not np.isfinite(losses_R).all():
        raise MixtureError("the loss of a small run is not finite; leave that run out")
    simulated_SN = _dirichlet(np.random.RandomState(seed), prior_N, SIMULATED)
    predicted_S = _predicted(
        checked_choice("regressor", regressor, ("linear", "boosted")), weights_RN, losses_R, simulated_SN
    )
    best_SN = simulated_SN[np.argsort(predicted_S, kind="stable")[:BEST]]
    return checked_weights(dict(zip(names, best_SN.mean(axis=0).tolist(), strict=True)), names)


def _predicted(regressor: str, weights_RN: np.ndarray, losses_R: np.ndarray, simulated_SN: np.ndarray) -> np.ndarray:
    """Predicted losses of the simulated mixtures: (S,)."""
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import LinearRegression

    if regressor == "linear":
        return LinearRegression().fit(weights_RN, losses_R).predict(simulated_SN)
    trees = GradientBoostingRegressor(n_estimators=1000, learning_rate=0.01, random_state=0)
    return trees.fit(weights_RN, losses_R).predict(simulated_SN)


def _dirichlet(random: np.random.RandomState, strength_N: np.ndarray, count: int) -> np.ndarray:
    """Random mixtures: (count, N). Data sets whose prior is 0 get no weight."""
    drawn_SN = np.zeros((count, len(strength_N)))
    possible_N = strength_N > 0
    drawn_SN[:, possible_N] = random.dirichlet(strength_N[possible_N], count)
    return drawn_SN
