"""How many seeds settle a comparison, and whether a budget does."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from sparsebench.reports.statistics import ALPHA, chance_to_settle, seeds_to_settle
from sparsebench.reports.statistics.intervals import Part

from .sequential import AHEAD, NEGLIGIBLE, verdicts


@pytest.mark.parametrize(("effect", "meant"), [(0.0, NEGLIGIBLE), (1.5, AHEAD)])
@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_so_many_seeds_settle_four_of_five(effect: float, meant: int, spread: float) -> None:
    seeds = int(seeds_to_settle([Part(spread**2 / 4, 3)], 4, smallest=1.0, alpha=ALPHA))
    drawn = np.random.default_rng(seeds).normal(effect, spread, size=(4000, seeds, 1))
    assert (verdicts(drawn, (seeds,), smallest=1.0) == meant).mean() >= 0.8


def test_few_test_examples_cannot_be_made_up_for_by_seeds() -> None:
    seeds = Part(0.01, 4)
    # 15 degrees of freedom per 4: quantiles 2.131 and 1.341 at 16 seeds, 2.145 and 1.345 at 15.
    assert (2.131 + 1.341) * (0.05 / 16) ** 0.5 < 0.2 < (2.145 + 1.345) * (0.05 / 15) ** 0.5
    assert seeds_to_settle([seeds], 5, smallest=0.2, alpha=ALPHA) == 16
    assert seeds_to_settle([seeds, Part(0.01, math.inf)], 5, smallest=0.2, alpha=ALPHA) == math.inf


def clear(low: float, high: float) -> bool:
    return low > 0 or high < 0


def test_the_chance_is_that_of_the_seeds_that_are_still_to_come() -> None:
    """With a spread that is known: 4 seeds of 16 with the mean 0.3, each of the variance 1, and the interval
    ± 1.96 / 4 in the end. The mean of all is normal around 0.3 with the variance 1 / 4 - 1 / 16."""
    found = chance_to_settle(0.3, [Part(1 / 4, math.inf)], 4, 16, ALPHA, clear)
    end = NormalDist(0.3, (1 / 4 - 1 / 16) ** 0.5)
    half = NormalDist().inv_cdf(0.975) / 4
    assert abs(found - (end.cdf(-half) + 1 - end.cdf(half))) < 0.006, "of 199 quantiles"


@pytest.mark.parametrize(("mean", "expected"), [(1.0, 1.0), (0.0, 0.0)])
def test_what_seeds_cannot_change(mean: float, expected: float) -> None:
    """An effect that is clear stays so; where test examples leave too wide an interval, no seed narrows it."""
    parts = [Part(1e-9, 2), Part(0.01, math.inf)]
    assert chance_to_settle(mean, parts, 3, 12, ALPHA, clear) == expected
