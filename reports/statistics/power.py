"""How many seeds an interval needs to decide, by the spread that a few of them have, and what a budget may decide.

A comparison is decided if its interval lies on one side of nothing, or within the smallest effect on both sides. With a
half width h at its level, a standard error s and a smallest effect D, the second is seen in 80 % of the cases where
there is no effect if h + 1.28 s <= D (both ends must keep clear: 10 % for each), the first in 80 % of those where there
is one of D if h + 0.84 s <= D. So where the first bound is kept an effect of 1.5 D is missed still more rarely.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from .intervals import Part, half_width

MISSED = 0.2
"""How often no effect is not seen as such: one minus the power."""
MOST = 100_000
"""More seeds than this are no number that anybody could run."""
DRAWS = 199
"""Quantiles of what the mean of all seeds may come to."""


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
        then = _with_seeds(parts, n, seeds)
        return half_width(then, alpha) + half_width(then, MISSED) <= smallest

    if not settles(MOST):
        return math.inf
    return float(bisect_left(range(MOST), True, lo=2, key=settles))  # the half width falls with the seeds


def chance_to_settle(
    mean: float, parts: Sequence[Part], n: int, budget: int, alpha: float, decides: Callable[[float, float], bool]
) -> float:
    """How likely it is that a comparison is decided when its budget is used up, by what the seeds so far say.

    With n of N seeds, and v the variance of their mean, that of all seeds lies around it as Student's t with the
    variance v (1 - n / N): the predictive distribution of normal seeds without a prior. Their spread stays as it is.

    Args:
        mean: of the seeds so far.
        parts: of its error, that of the seeds first; those behind it no seed changes.
        n: how many seeds that part is of, 2 or more.
        budget: how many there are in the end, n or more.
        alpha: the level at which the comparison decides then.
        decides: whether an interval, by its ends, decides.

    Returns:
        The chance, from 0 to 1.

    Example:
        >>> clear = lambda low, high: low > 0 or high < 0
        >>> chance_to_settle(0.1, [Part(0.02**2, 2)], 3, 12, 0.05, clear) > 0.95
        True
    """
    from scipy.special import stdtrit

    half = half_width(_with_seeds(parts, n, budget), alpha)
    wander = math.sqrt(parts[0].variance * (1 - n / budget))
    ends = [mean + wander * float(stdtrit(parts[0].df, (place + 0.5) / DRAWS)) for place in range(DRAWS)]
    return sum(decides(end - half, end + half) for end in ends) / DRAWS


def _with_seeds(parts: Sequence[Part], n: int, seeds: int) -> list[Part]:
    """The parts of the error where there are so many seeds instead of n, of the same spread."""
    first, *others = parts
    return [Part(first.variance * n / seeds, first.df * (seeds - 1) / (n - 1)), *others]
