"""Several looks at data that grow: how much of the error each look may spend.

The spending function of Lan & DeMets (1983, Biometrika 70, 659-663) that is like O'Brien & Fleming's boundaries spends
by the fraction t of the budget

    alpha*(t) = 2 - 2 Phi(z / sqrt(t)),   z the quantile of the normal distribution at 1 - alpha / 2,

next to nothing early and alpha in all at t = 1. The boundaries are Bonferroni's: look l decides at the level
alpha*(t_l) - alpha*(t_l-1), and the levels of all looks sum up to alpha. So the chance of an error at any look is at
most alpha whatever the looks have in common: Student's intervals with few seeds, test examples that all looks share,
tests of equivalence. Recursive integration (Armitage, McPherson & Rowe 1969) would be sharper, the last of four even
looks at 4.3 % instead of 2.6 %, but needs increments that are independent and of known variance, which seeds are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def spent(fraction: float, alpha: float) -> float:
    """What may be spent of `alpha` by the time that a fraction, above 0 and up to 1, of the budget is there."""
    from scipy.special import ndtr, ndtri

    z = -float(ndtri(alpha / 2))
    return float(2 * ndtr(-z / math.sqrt(fraction)))


def level_at(looks: Sequence[int], look: int, alpha: float) -> float:
    """The level at which one look decides.

    Args:
        looks: how many seeds there are at each look, rising; the last is the budget. None: one look with all there is.
        look: the number of the look, from 0.
        alpha: the level of all looks together.

    Returns:
        The level; over all looks they sum up to `alpha`.

    Example:
        >>> [round(level_at([3, 6, 9, 12], look, 0.05), 4) for look in range(4)]
        [0.0001, 0.0055, 0.0181, 0.0264]
    """
    if not looks:
        return alpha
    before = spent(looks[look - 1] / looks[-1], alpha) if look else 0.0
    return spent(looks[look] / looks[-1], alpha) - before
