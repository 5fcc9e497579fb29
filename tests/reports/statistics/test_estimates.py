"""Means with intervals against scipy and against figures worked out by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from sparsebench.reports.records.record_limits import LARGEST
from sparsebench.reports.statistics import Estimate, Score, at_chance, estimate, estimate_mean, wilson


def scores(*values, stderr=None):
    return [Score(value, stderr) for value in values]


def test_interval_over_seeds_is_students() -> None:
    values = [0.71, 0.74, 0.69, 0.73]
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    result = estimate(scores(*values))
    assert result.covers == "seeds"
    assert (result.low, result.high) == pytest.approx((low, high))


def test_seeds_with_standard_errors_cover_both() -> None:
    values = [0.71, 0.74, 0.69, 0.73]
    result = estimate(scores(*values, stderr=0.02))
    of_seeds = scipy.stats.t.ppf(0.975, 3) * scipy.stats.sem(values)
    assert result.covers == "seeds and examples"
    assert result.half_width == pytest.approx(math.hypot(of_seeds, 1.959964 * 0.02), rel=1e-6)


def test_splits_of_one_set_have_an_interval_of_their_own_level() -> None:
    """Nadeau and Bengio's variance, and how often its interval holds the mean over all molecules that there could be.

    Five test parts of a fifth of 100 examples: taken as independent they would cover it in 85 % of the cases.
    """
    values = [2.0, 3.0, 2.5, 4.0, 3.5]
    result = estimate([Score(value, 0.7, overlap=0.25) for value in values])
    half = scipy.stats.t.ppf(0.975, 4) * math.sqrt(np.var(values, ddof=1) * (1 / 5 + 0.25))
    assert (result.covers, result.half_width) == ("seeds and examples", pytest.approx(half))
    assert estimate([Score(2.0, 0.7, overlap=0.25)]).half_width == pytest.approx(1.959964 * 0.7)

    generator = np.random.default_rng(0)
    repeats = 1000
    inside = {0.25: 0, 1e-9: 0}
    for _ in range(repeats):
        examples = generator.normal(size=100)
        means = [examples[generator.permutation(100)[:20]].mean() for _ in range(5)]
        for overlap in inside:
            found = estimate([Score(value, overlap=overlap) for value in means])
            inside[overlap] += found.low <= 0 <= found.high
    assert abs(inside[0.25] / repeats - 0.95) < 3 * math.sqrt(0.05 * 0.95 / repeats)
    assert inside[1e-9] / repeats < 0.9


def test_seeds_that_agree_exactly_are_one_deterministic_result() -> None:
    for seeds in (1, 3):
        result = estimate(scores(*[0.5] * seeds, stderr=0.01))
        assert (result.covers, result.n) == ("examples", seeds)
        assert result.half_width == pytest.approx(0.0196, abs=1e-5)


def test_nothing_measures_the_spread() -> None:
    result = estimate(scores(0.5))
    assert result == Estimate(0.5, None, 1, "none")
    assert result.low is None


def test_mean_over_tasks_of_equal_variance() -> None:
    # Two tasks, both with seed values m - 1, m, m + 1: variance of each mean 1/3, of their mean 1/6, df 4.
    result = estimate_mean([scores(9, 10, 11), scores(19, 20, 21)])
    assert result.mean == 15
    assert result.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 4) * math.sqrt(1 / 6))


def test_mean_over_tasks_of_unequal_variance_is_never_narrower_than_welchs() -> None:
    a, b = [9.0, 10.0, 11.5, 10.2], [20.0, 23.0, 26.0]
    result = estimate_mean([scores(*a), scores(*b)])
    welch = scipy.stats.ttest_ind(a, [-x for x in b], equal_var=False).confidence_interval(0.95)
    assert 2 * result.mean == pytest.approx(np.mean(a) + np.mean(b))
    assert welch.high - welch.low < 4 * result.half_width < 1.2 * (welch.high - welch.low)


def test_tasks_without_a_measure_of_spread_leave_the_mean_without_one() -> None:
    assert estimate_mean([scores(0.1, 0.2), scores(0.5)]).covers == "none"
    assert estimate_mean([scores(0.1, 0.2), scores(0.5, stderr=0.1)]).covers == "seeds"
    assert estimate_mean([scores(0.1, 0.2, stderr=0.1), scores(0.5, stderr=0.1)]).covers == "seeds and examples"


def test_the_largest_numbers_that_records_hold_have_an_interval() -> None:
    """R12: a huge finite number stopped the report. One whose square is too large, of no record, has no interval."""
    result = estimate(scores(LARGEST, -LARGEST, LARGEST, stderr=LARGEST))
    assert result.covers == "seeds and examples" and result.low is not None and result.low < -LARGEST < result.mean
    assert estimate(scores(0.5, stderr=1e308)) == Estimate(0.5, None, 1, "none")


def test_at_chance() -> None:
    near, clear = Estimate(0.12, 0.03, 3, "seeds"), Estimate(0.2, 0.03, 3, "seeds")
    assert at_chance(near, 0.1, higher_is_better=True)
    assert not at_chance(clear, 0.1, higher_is_better=True)
    assert not at_chance(near, None, higher_is_better=True)
    assert at_chance(clear, 0.21, higher_is_better=False)
    ends_at = Estimate(0.5, 0.25, 3, "seeds")
    assert at_chance(ends_at, 0.25, higher_is_better=True) and at_chance(ends_at, 0.75, higher_is_better=False)
    assert at_chance(Estimate(0.05, None, 1, "none"), 0.1, higher_is_better=True)


@pytest.mark.parametrize(("hits", "trials"), [(45, 64), (120, 200), (10, 24)])
def test_the_interval_of_a_fraction_is_wilsons(hits: int, trials: int) -> None:
    known = scipy.stats.binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson(hits / trials, trials) == pytest.approx((known.low, known.high))


@pytest.mark.parametrize("trials", [24, 64, 1000])
def test_the_interval_of_a_fraction_covers_it_in_nine_of_ten_cases_whatever_it_is(trials: int) -> None:
    """D9, exactly: the usual interval covers next to nothing near 100 %, Wilson's alone 84 % at the worst."""
    hits = np.arange(trials + 1)
    low, high = np.array([wilson(count / trials, trials) for count in hits]).T
    chances = np.concatenate([np.linspace(0.01, 12, 300) / trials, np.linspace(0.001, 0.999, 300)])
    for chance in (*chances, *(1 - chances)):
        likely = scipy.stats.binom.pmf(hits, trials, chance)
        assert likely[(low <= chance) & (chance <= high)].sum() > 0.91


def test_all_right_is_not_certain() -> None:
    """D9: 1,000 of 1,000 was printed as 100.0 ± 0.0, over seeds too."""
    alone = estimate([Score(1.0, 0.0, 1000)])
    assert alone.high == 1.0 and 0.003 < 1 - alone.low < 0.004
    assert alone.half_width == pytest.approx(1 - alone.low)
    over_seeds = estimate([Score(1.0, 0.0, 1000), Score(0.999, 0.001, 1000)])
    assert over_seeds.half_width > 0.002
    assert estimate_mean([[Score(0.0, 0.0, 1000)], [Score(0.0, 0.0, 1000)]]).half_width > 1 / 1000
    assert estimate([Score(1.0, 0.0)]).half_width == 0


def test_what_is_scaled_keeps_its_ends() -> None:
    plain = estimate([Score(0.98, (0.98 * 0.02 / 63) ** 0.5, 64)])
    value = plain.scaled(100)
    assert (value.mean, value.low, value.high) == pytest.approx((98, 100 * plain.low, 100 * plain.high))
    assert value.half_width == pytest.approx(98 - value.low) and value.half_width > value.high - 98
    assert estimate(scores(0.5, stderr=0.01)).scaled(100).half_width == pytest.approx(1.96, abs=1e-3)
