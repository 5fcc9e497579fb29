"""How losses move with the fractions of a mixture: L(p) = c + exp(t . p), one such law for each held-out set.

"Log-linear" in Olmix (arXiv 2602.12237, after Data Mixing Laws, arXiv 2403.16952): the loss above its floor c is the
exponential of a line in the fractions. Each law is convex in p, and so is their mean.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from ..errors import MixtureError

# Shapes: R runs, N data sets (fractions), J held-out sets (losses).

STARTS = (0.0, 0.5, 0.9)
"""Floors from which a fit starts, as fractions of the lowest loss; with a floor the rest is a line."""
HUBER = 0.02
"""Residuals above it, in the unit of the losses, count by their size and not by its square, as in the paper."""
MOST_EXPONENT = 50.0
"""Steps of the fit that go astray overflow nothing."""


@dataclass(frozen=True)
class Laws:
    """`floors`: c (J,); `slopes`: t (J, N)."""

    floors: np.ndarray
    slopes: np.ndarray

    def losses(self, fractions_N: np.ndarray) -> np.ndarray:
        """What the laws predict.

        Args:
            fractions_N: a mixture (N,), or several (R, N).

        Returns:
            Losses (J,), or (R, J).
        """
        return self.floors + np.exp(fractions_N @ self.slopes.T)


def fit(fractions_RN: np.ndarray, losses_RJ: np.ndarray) -> Laws:
    """The laws that fit small runs best: Huber's loss of the residuals, floors between 0 and the lowest loss.

    Args:
        fractions_RN: fractions of each run.
        losses_RJ: its losses, above 0.

    Returns:
        One law for each column of losses.

    Raises:
        MixtureError: for fewer runs than a law has parameters, N + 1.
    """
    runs, sets = fractions_RN.shape
    if runs < sets + 1:
        raise MixtureError(
            f"{runs} small runs cannot say how losses move with {sets} fractions: a law has {sets + 1} parameters; "
            f"give at least {sets + 1} runs, better twice as many"
        )
    found = [_fit_one(fractions_RN, losses_R) for losses_R in losses_RJ.T]
    return Laws(np.array([floor for floor, _ in found]), np.array([slopes_N for _, slopes_N in found]))


def _fit_one(fractions_RN: np.ndarray, losses_R: np.ndarray) -> tuple[float, np.ndarray]:
    """Floor and slopes (N,) of one law: the best of all starts."""
    lowest = losses_R.min()
    endless = np.full(fractions_RN.shape[1], np.inf)
    results = []
    for fraction in STARTS:
        floor = fraction * lowest
        line_N = np.linalg.lstsq(fractions_RN, np.log(losses_R - floor), rcond=None)[0]
        results.append(
            least_squares(
                lambda x: x[0] + _exp(fractions_RN @ x[1:]) - losses_R,
                np.array([floor, *line_N]),
                jac=lambda x: np.c_[np.ones(len(losses_R)), _exp(fractions_RN @ x[1:])[:, None] * fractions_RN],  # pyright: ignore[reportArgumentType]
                bounds=(np.array([0.0, *-endless]), np.array([lowest, *endless])),
                loss="huber",
                f_scale=HUBER,
                xtol=1e-14,
                ftol=1e-14,
                gtol=1e-14,
            )
        )
    best = min(results, key=lambda result: result.cost)
    return float(best.x[0]), best.x[1:]


def _exp(exponents: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(exponents, MOST_EXPONENT))
