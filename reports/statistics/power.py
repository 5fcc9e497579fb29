"""How many seeds an interval needs to decide, by the spread that a few of them have.

A comparison is decided if its interval lies on one side of nothing, or within the smallest effect on both sides. With a
half width h at its level, a standard error s and a smallest effect D, the second is seen in 80 % of the cases where
there is no effect if h + 1.28 s <= D (both ends must keep clear: 10 % for each), the first in 80 % of those where there
is one of D if h + 0.84 s <= D. So where the first bound is kept an effect of 1.5 D is missed still more rarely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .intervals import Part, half_width

MISSED = 0.2
"""How often no effect is not seen as such: one minus the power."""
MOST = 100_000
"""More seeds than this are no number that anybody could run."""


def seeds_to_settle(parts: Sequence[Part], n: int, smallest: float, alpha: float) -> float:
    """The smallest number of seeds that settles a comparison in 80 % of the cases.

    Args:
        parts: of the error, that of the seeds first; those behind it no seed changes.
        n: how many seeds that part is of.
        smallest: the smallest effect of interest, in the unit of the effect.
        alpha: the level at which the comparison decides.

    Returns:
        The number, 2 or more; infinite where the test examples alone leave too wide an interval.

    Example:
        >>> seeds_to_settle([Part(0.01**2 / 3, 2)], 3, smallest=0.02, alpha=0.05)
        5.0
    """

    def settles(seeds: int) -> bool:
        first, *others = parts
        then = [Part(first.variance * n / seeds, first.df * (seeds - 1) / (n - 1)), *others]
        return half_width(then, alpha) + half_width(then, MISSED) <= smallest

    if not settles(MOST):
        return math.inf
    low = 1
    high = MOST
    while high - low > 1:  # the half width falls with the seeds
        middle = (low + high) // 2
        if settles(middle):
            high = middle
        else:
            low = middle
    return float(high)
