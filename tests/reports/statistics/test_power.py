"""How many seeds settle a comparison."""

import math

import numpy as np
import pytest

from sparsebench.reports.statistics import ALPHA, seeds_to_settle
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
