"""Statistics against scipy and against figures worked out by hand."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsebench.reports.statistics import (
    Estimate,
    Score,
    at_chance,
    difference,
    estimate,
    estimate_mean,
    holm,
    sign_flip,
    vtab_averages,
)


def scores(*values, stderr=None):
    return [Score(value, stderr) for value in values]


def paired(ours, theirs):
    return [list(zip(scores(*ours), scores(*theirs), strict=True))]


def test_interval_over_seeds_is_students():
    values = [0.71, 0.74, 0.69, 0.73]
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    result = estimate(scores(*values))
    assert result.source == "seeds"
    assert (result.low, result.high) == pytest.approx((low, high))


def test_one_record_takes_its_standard_error():
    result = estimate(scores(0.5, stderr=0.01))
    assert (result.source, result.n) == ("examples", 1)
    assert result.half_width == pytest.approx(0.0196, abs=1e-5)


def test_seeds_that_agree_exactly_are_one_deterministic_result():
    result = estimate(scores(0.5, 0.5, 0.5, stderr=0.01))
    assert result.source == "examples"
    assert result.half_width == pytest.approx(0.0196, abs=1e-5)


def test_nothing_measures_the_spread():
    result = estimate(scores(0.5))
    assert result == Estimate(0.5, None, 1, "none")
    assert result.low is None


def test_mean_over_tasks_of_equal_variance():
    # Two tasks, both with seed values m - 1, m, m + 1: variance of each mean 1/3, of their mean 1/6, df 4.
    result = estimate_mean([scores(9, 10, 11), scores(19, 20, 21)])
    assert result.mean == 15
    assert result.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 4) * math.sqrt(1 / 6))


def test_mean_over_tasks_of_unequal_variance_is_welch():
    a, b = [9.0, 10.0, 11.5, 10.2], [20.0, 23.0, 26.0]
    result = estimate_mean([scores(*a), scores(*b)])
    welch = scipy.stats.ttest_ind(a, [-x for x in b], equal_var=False).confidence_interval(0.95)
    assert 2 * result.mean == pytest.approx(np.mean(a) + np.mean(b))
    assert 2 * result.low == pytest.approx(welch.low)
    assert 2 * result.high == pytest.approx(welch.high)


def test_three_pairs_are_tested_by_t():
    ours, theirs = [0.74, 0.76, 0.75], [0.70, 0.71, 0.72]
    result = difference(paired(ours, theirs))
    assert result.test == "t"
    assert result.p == pytest.approx(scipy.stats.ttest_rel(ours, theirs).pvalue)
    assert result.outcome == "better"


def test_lower_is_better_flips_the_sign():
    up = difference(paired([3.0, 3.1, 3.3], [2.0, 2.2, 2.1]))
    down = difference(paired([3.0, 3.1, 3.3], [2.0, 2.2, 2.1]), higher_is_better=False)
    assert down.estimate.mean == pytest.approx(-up.estimate.mean)
    assert (up.outcome, down.outcome) == ("better", "worse")


def test_deterministic_records_are_tested_by_their_standard_errors():
    result = difference([[(Score(0.5, 0.03), Score(0.4, 0.04))]])
    assert result.test == "z"
    assert result.p == pytest.approx(2 * scipy.stats.norm.sf(0.1 / 0.05))
    assert result.estimate.half_width == pytest.approx(1.96 * 0.05, rel=1e-3)


def test_one_pair_without_standard_error_is_not_comparable():
    assert difference([[(Score(0.5), Score(0.4))]]).outcome == "not comparable"
    assert difference([[(Score(0.5), Score(0.5))]]).outcome == "same"


def test_six_pairs_that_all_agree_reach_the_exact_p():
    result = difference(paired([1.1, 1.2, 1.3, 1.4, 1.5, 1.6], [1.0] * 6))
    assert result.test == "sign-flip"
    assert result.p == 2 / 2**6


def test_sign_flip_is_scipys_exact_permutation_test():
    diffs = np.random.default_rng(0).normal(0.5, 1, 9)
    reference = scipy.stats.permutation_test(
        (diffs,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided", vectorized=True
    )
    assert sign_flip([list(diffs)]) == pytest.approx(reference.pvalue)


def test_sign_flip_by_draws_is_near_the_normal_limit():
    diffs = list(np.random.default_rng(1).normal(0.3, 1, 60))
    z = sum(diffs) / math.sqrt(sum(d * d for d in diffs))
    assert sign_flip([diffs]) == pytest.approx(2 * scipy.stats.norm.sf(z), abs=0.01)
    assert sign_flip([diffs]) == sign_flip([diffs])


def test_sign_flip_keeps_its_level():
    generator = np.random.default_rng(2)
    p_values = [sign_flip([list(generator.normal(size=3)) for _ in range(3)]) for _ in range(400)]
    assert np.mean(np.array(p_values) < 0.05) < 0.08


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=10))
def test_sign_flip_is_a_probability_that_ignores_the_sign(diffs):
    p = sign_flip([diffs])
    assert 0 < p <= 1
    assert p == pytest.approx(sign_flip([[-d for d in diffs]]))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_ignores_missing_tests_and_stays_below_one():
    assert holm([None, 0.6, 0.7]) == [None, 1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_the_order(p_values):
    corrected = holm(p_values)
    assert all(c >= p for c, p in zip(corrected, p_values, strict=True))
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [corrected[i] for i in order] == sorted(corrected)


GROUPS = ["natural"] * 7 + ["specialized"] * 4 + ["structured"] * 8
SSF = [69.0, 92.6, 75.1, 99.4, 91.8, 90.2, 52.9, 87.4, 95.9, 87.4, 75.5, 75.9, 62.3, 53.3, 80.6, 77.3, 54.9, 29.5, 37.9]
FULL = [
    68.9,
    87.7,
    64.3,
    97.2,
    86.9,
    87.4,
    38.8,
    79.7,
    95.7,
    84.2,
    73.9,
    56.3,
    58.6,
    41.7,
    65.5,
    57.5,
    46.7,
    25.7,
    29.1,
]


@pytest.mark.parametrize(("row", "of_tasks", "of_groups"), [(SSF, 73.10, 75.69), (FULL, 65.57, 68.97)])
def test_the_two_averages_of_vtab(row, of_tasks, of_groups):
    tasks = [f"task {i}" for i in range(19)]
    averages = vtab_averages(dict(zip(tasks, row, strict=True)), dict(zip(tasks, GROUPS, strict=True)))
    assert tuple(round(average, 2) for average in averages) == (of_tasks, of_groups)


def test_at_chance():
    near, clear = Estimate(0.12, 0.03, 3, "seeds"), Estimate(0.2, 0.03, 3, "seeds")
    assert at_chance(near, 0.1, higher_is_better=True)
    assert not at_chance(clear, 0.1, higher_is_better=True)
    assert not at_chance(near, None, higher_is_better=True)
    assert at_chance(clear, 0.21, higher_is_better=False)
    assert at_chance(Estimate(0.05, None, 1, "none"), 0.1, higher_is_better=True)
