"""The best mixture that laws of its losses know, exactly: a convex problem with a certificate.

    minimise  mean over sets of L(p)  +  kl * KL(p || natural)     over fractions p with p <= most

(Olmix, arXiv 2602.12237: the exact proposer.) The second term keeps the mixture near the natural one, where small runs
say little; `most` bounds how often the rows of a small data set come again.
"""

import numpy as np

from ..errors import MixtureError
from .log_linear import Laws

# Shapes: N data sets, J held-out sets.

GAP = 1e-9
"""By how much the objective of what is returned exceeds the lowest one, at most."""
STEPS = 200_000


def propose(laws: Laws, natural_N: np.ndarray, kl: float, most_N: np.ndarray) -> np.ndarray:
    """The mixture with the lowest objective, to within `GAP` of it.

    Mirror descent with the entropy as its mirror: the step toward the natural mixture and the bounds is exact, its
    length is found by halving (Bauschke, Bolte, Teboulle 2017). A convex function lies above its tangents, so the
    tangent's lowest value over all allowed mixtures says how far off the best one can be: that ends the search.

    Args:
        laws: of the losses.
        natural_N: the natural mixture; data sets with a fraction of 0 get none.
        kl: strength of the pull toward it, 0 or more, in the unit of the losses.
        most_N: largest fraction of each data set; 1 bounds nothing.

    Returns:
        Fractions (N,), which sum to 1.

    Raises:
        MixtureError: bounds that leave no mixture; no certificate after `STEPS` steps.
    """
    possible_N = natural_N > 0
    if np.minimum(most_N, 1)[possible_N].sum() < 1:
        raise MixtureError(
            f"the data sets may have fractions of at most {most_N[possible_N].round(3).tolist()}, less than 1 in all: "
            "let them repeat more often, or draw less"
        )
    found_N = np.zeros(len(natural_N))
    found_N[possible_N] = _search(
        Laws(laws.floors, laws.slopes[:, possible_N]),
        natural_N[possible_N] / natural_N[possible_N].sum(),
        kl,
        np.minimum(most_N[possible_N], 1),
    )
    return found_N


def _search(laws: Laws, natural_N: np.ndarray, kl: float, most_N: np.ndarray) -> np.ndarray:
    natural = np.log(natural_N)
    fractions_N = capped(natural, most_N)
    curvature = 1.0
    with np.errstate(divide="ignore"):  # without a pull a fraction may become 0, whose logarithm is minus infinity
        for _ in range(STEPS):
            logs_N = np.log(fractions_N)
            above_J = np.exp(laws.slopes @ fractions_N)
            slope_N = laws.slopes.T @ above_J / len(above_J)
            if _gap(fractions_N, slope_N + (kl * (logs_N - natural) if kl else 0), most_N) <= GAP:
                return fractions_N
            while True:
                next_N = capped((curvature * logs_N + kl * natural - slope_N) / (curvature + kl), most_N)
                moved_J = laws.slopes @ (next_N - fractions_N)
                risen = above_J @ (np.expm1(moved_J) - moved_J) / len(above_J)  # above the tangent
                if risen <= curvature * _divergence(next_N, fractions_N):
                    break
                curvature *= 2
            fractions_N = next_N
            curvature /= 2
    raise MixtureError(f"no best mixture within {GAP:g} after {STEPS} steps: are losses or slopes {laws} sensible?")


def capped(logits_N: np.ndarray, most_N: np.ndarray) -> np.ndarray:
    """The mixture that is nearest to softmax(logits) by its divergence from it, with no fraction above its bound.

    Args:
        logits_N: (N,); minus infinity is a fraction of 0.
        most_N: bounds (N,), which sum to 1 or more.

    Returns:
        Fractions (N,): the bound where softmax, scaled to fill what is left, would exceed it.
    """
    fractions_N = np.array(most_N, dtype=np.float64)
    free_N = np.ones(len(fractions_N), dtype=bool)
    while free_N.any():
        left = 1 - fractions_N[~free_N].sum()
        parts = np.exp(logits_N[free_N] - logits_N[free_N].max())
        wanted = left * parts / parts.sum()
        over = wanted > most_N[free_N]
        if not over.any():
            fractions_N[free_N] = wanted
            break
        free_N[np.flatnonzero(free_N)[over]] = False
    return fractions_N


def _gap(fractions_N: np.ndarray, slope_N: np.ndarray, most_N: np.ndarray) -> float:
    """By how much the objective can be above its lowest value."""
    here_N = fractions_N > 0
    left = 1.0
    lowest = 0.0
    for place in np.argsort(slope_N, kind="stable"):  # what is cheapest first, as far as it may go
        taken = min(left, most_N[place])
        if taken > 0:
            lowest += taken * slope_N[place]
        left -= taken
    return float(fractions_N[here_N] @ slope_N[here_N] - lowest)


def _divergence(first_N: np.ndarray, second_N: np.ndarray) -> float:
    """KL of mixtures with the same sum, in a form that does not cancel where they are near."""
    here_N = second_N > 0
    change_N = first_N[here_N] / second_N[here_N] - 1
    logs_N = np.log1p(change_N, where=change_N > -1, out=np.zeros_like(change_N))
    return float(second_N[here_N] @ ((1 + change_N) * logs_N - change_N))
