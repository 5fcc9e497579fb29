"""The paired test: what it equals, its level, its power, and what its outcomes and corrections mean."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparsebench.reports.records.record_limits import LARGEST
from sparsebench.reports.statistics import ALPHA, Pairing, Score, difference

from .simulated import crossed, pairing_of, score_of, seeds_only

REPEATS = 1000
NOISE = 3 * math.sqrt(ALPHA * (1 - ALPHA) / REPEATS)


def paired(ours, theirs, stderr=None) -> list[Pairing]:
    pairs = tuple((Score(a, stderr), Score(b, stderr)) for a, b in zip(ours, theirs, strict=True))
    return [Pairing(pairs, len(pairs))]


@pytest.mark.parametrize("seeds", [2, 3, 6, 20])
def test_seeds_alone_are_tested_by_students_t_whatever_their_number(seeds: int) -> None:
    """R11: six pairs and more were tested by sign flips, whose p cannot be below 2 / 2^n."""
    ours, theirs = np.random.default_rng(seeds).normal(0.5, 1, (2, seeds))
    result = difference(paired(ours, theirs))
    assert (result.test, result.estimate.covers) == ("t", "seeds")
    assert result.p == pytest.approx(scipy.stats.ttest_rel(ours, theirs).pvalue)


def test_pairs_on_splits_of_their_own_share_what_splits_have_in_common() -> None:
    """The outcomes of one split are no draw of the next one's, even where the parts are of one size."""
    values_SN = np.random.default_rng(0).normal(0.3, 1, (5, 12))
    pairs = [replace(score_of(row), overlap=1 / 9) for row in values_SN]
    zeros = [replace(score_of(0 * row), overlap=1 / 9) for row in values_SN]
    result = difference([Pairing(tuple(zip(pairs, zeros, strict=True)), 5, stochastic=True)])
    variance = np.var(values_SN.mean(axis=1), ddof=1) * (1 / 5 + 1 / 9)
    assert (result.test, result.estimate.covers) == ("t", "seeds and examples")
    assert result.estimate.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 4) * math.sqrt(variance))
    same = difference([Pairing(tuple(zip(pairs, pairs, strict=True)), 5, stochastic=True)])
    assert same.outcome == "identical"
    single = difference([Pairing(((pairs[0], zeros[0]),), 5, stochastic=True)])
    assert (single.outcome, single.estimate.covers) == ("one seed", "examples")


def test_more_seeds_of_one_kind_do_not_weaken_the_verdict() -> None:
    """R11: five equal-signed pairs had p = 7e-6, six of the same kind p = 0.031."""
    gains = [1.0, 1.02, 0.98, 1.01, 0.99, 1.0, 1.02, 0.98]
    p_values = [difference([seeds_only(np.array(gains[:n]))]).p for n in range(3, 9)]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[-1] < 1e-9


@pytest.mark.parametrize("spreads", [(0.0, 1.0, 0.5), (0.2, 1.0, 0.5), (1.0, 1.0, 0.5), (0.1, 0.1, 1.0)])
@pytest.mark.parametrize("seeds", [2, 3, 20])
def test_seeds_with_examples_keep_the_level(seeds: int, spreads: tuple[float, float, float]) -> None:
    """Seeds alone would reject most of the time where the examples are what varies."""
    generator = np.random.default_rng(seeds)
    rejected = [_excludes_zero(pairing_of(crossed(generator, seeds, 40, spreads))) for _ in range(REPEATS)]
    assert np.mean(rejected) <= ALPHA + NOISE


def test_heavy_tails_and_coarse_scores_keep_the_level() -> None:
    generator = np.random.default_rng(0)
    heavy = [_excludes_zero(pairing_of(crossed(generator, 3, 40, (0.2, 1, 1), tails=3))) for _ in range(REPEATS)]
    assert np.mean(heavy) <= ALPHA + NOISE
    coarse = []
    for _ in range(REPEATS):  # two rows that are right with the same chance on each of 100 questions
        chance_N = generator.uniform(0.3, 1, 100)
        answers = generator.random((2, 3, 100)) < chance_N
        coarse.append(_excludes_zero(pairing_of(answers[0] * 1.0 - answers[1])))
    assert np.mean(coarse) <= ALPHA + NOISE


def test_power_rises_with_the_seeds() -> None:
    """R11: with examples, and with seeds alone."""
    generator = np.random.default_rng(1)
    for spreads in ((1.0, 0.0, 0.0), (0.6, 1.5, 1.0)):
        power = []
        for seeds in (2, 3, 5, 8, 12, 20):
            found = [crossed(generator, seeds, 30, spreads) + 1.1 for _ in range(300)]
            alone = spreads[1] == 0
            power.append(
                np.mean([_excludes_zero(seeds_only(d.mean(axis=1)) if alone else pairing_of(d)) for d in found])
            )
        assert all(later >= earlier - 0.06 for earlier, later in pairwise(power)), power
        assert power[0] < 0.4 and power[-1] > 0.8


def _excludes_zero(pairing: Pairing) -> bool:
    value = difference([pairing]).estimate
    return abs(value.mean) > (value.half_width or 0.0)


def test_lower_is_better_flips_the_sign() -> None:
    up = difference(paired([3.0, 3.1, 3.3], [2.0, 2.2, 2.1]))
    down = difference(paired([3.0, 3.1, 3.3], [2.0, 2.2, 2.1]), higher_is_better=False)
    assert down.estimate.mean == pytest.approx(-up.estimate.mean)
    assert (up.outcome, down.outcome) == ("better", "worse")


def test_one_pair_is_tested_on_its_examples() -> None:
    values_N = np.random.default_rng(0).normal(0.3, 1, 50)
    result = difference([pairing_of(values_N[None])])
    assert (result.test, result.estimate.covers) == ("t over examples", "examples")
    assert result.p == pytest.approx(scipy.stats.ttest_1samp(values_N, 0).pvalue)


def test_without_outcomes_two_standard_errors_stand_in() -> None:
    result = difference([Pairing(((Score(0.5, 0.03), Score(0.4, 0.04)),), 1)])
    assert (result.test, result.estimate.covers) == ("z over examples, unpaired", "examples")
    assert result.p == pytest.approx(2 * scipy.stats.norm.sf(0.1 / 0.05))


def test_seeds_and_examples_are_both_in_the_interval() -> None:
    """R18: intervals over seeds on the same questions did not cover the questions."""
    generator = np.random.default_rng(3)
    differences_SN = crossed(generator, 3, 200, (0.02, 1.0, 0.3)) + 0.1
    both = difference([pairing_of(differences_SN)]).estimate
    alone = difference([seeds_only(differences_SN.mean(axis=1))]).estimate
    assert (both.covers, alone.covers) == ("seeds and examples", "seeds")
    assert both.half_width > 1.2 * alone.half_width
    assert both.mean == pytest.approx(alone.mean)


def test_seeds_that_agree_by_chance_are_no_surer_than_their_examples() -> None:
    """Three pairs of 5,000 answers differed by 0.60, 0.62 and 0.68 points: each alone has an error of 0.55."""
    generator = np.random.default_rng(0)
    differences_SN = crossed(generator, 3, 5000, (0.0, 0.0, 1.0))
    differences_SN += np.array([[0.0309], [0.031], [0.0311]]) - differences_SN.mean(axis=1, keepdims=True)
    seeds = difference([seeds_only(differences_SN.mean(axis=1))])
    found = difference([pairing_of(differences_SN)], margin=0.04)
    by_example = scipy.stats.ttest_1samp(differences_SN.mean(axis=0), 0)
    low, high = by_example.confidence_interval()
    assert (found.estimate.low, found.estimate.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(by_example.pvalue) and found.p > 10 * seeds.p
    assert found.equivalence_p == pytest.approx(scipy.stats.ttest_1samp(differences_SN.mean(axis=0), 0.04).pvalue / 2)
    two = difference([pairing_of(differences_SN), pairing_of(differences_SN + 1)])
    assert two.estimate.half_width == pytest.approx((high - low) / 2 / 2**0.5, rel=1e-3)


def test_one_task_without_outcomes_leaves_the_interval_to_the_seeds() -> None:
    differences_SN = crossed(np.random.default_rng(0), 3, 20, (1, 1, 1))
    result = difference([pairing_of(differences_SN), seeds_only(differences_SN.mean(axis=1))])
    assert result.estimate.covers == "seeds"
    first = (score_of(np.arange(4)), score_of(np.zeros(4)))
    five = score_of(np.arange(5))
    for second in ((five, score_of(np.zeros(5))), (five, first[1])):  # a seed on other examples, or a row
        for pairs in ((first, second), (second, first)):
            assert difference([Pairing(pairs, 2)]).estimate.covers == "seeds"


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=8), st.integers(1, 20), st.booleans(), st.integers(0, 2**32 - 1))
def test_p_is_below_five_per_cent_just_where_the_interval_excludes_zero(seeds, comparisons, examples, state) -> None:
    """R11: p was corrected, the interval beside it was not."""
    values = np.array(seeds)
    generator = np.random.default_rng(state)
    rest = generator.normal(size=(len(seeds), 12))
    pairing = pairing_of(values[:, None] + rest) if examples else seeds_only(values)
    result = difference([pairing]).corrected(comparisons)
    value = result.estimate
    assume(value.half_width is not None and not math.isclose(abs(value.mean), value.half_width, rel_tol=1e-6))
    assert (result.p < ALPHA) == (abs(value.mean) > value.half_width)
    assert (result.outcome in ("better", "worse")) == (result.p < ALPHA)


def test_equivalent_needs_a_margin_and_a_test_within_it() -> None:
    ours, theirs = [0.501, 0.499, 0.5, 0.502], [0.5, 0.5, 0.501, 0.501]
    assert difference(paired(ours, theirs)).outcome == "undecided"
    assert difference(paired(ours, theirs), margin=0.01).outcome == "equivalent"
    assert difference(paired(ours, theirs), margin=0.001).outcome == "undecided"
    assert difference(paired([0.1, 0.5, 0.9], [0.5, 0.5, 0.4]), margin=0.01).outcome == "undecided"


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.floats(0.01, 2), st.integers(1, 5))
def test_equivalent_is_just_where_the_interval_lies_within_the_margin(values, margin, comparisons) -> None:
    result = difference([seeds_only(np.array(values))], margin=margin).corrected(comparisons)
    value = result.estimate
    assume(value.half_width is not None)
    reach = abs(value.mean) + value.half_width
    assume(not math.isclose(reach, margin, rel_tol=1e-6) and result.p >= ALPHA)
    assert (result.outcome == "equivalent") == (reach < margin)


def test_equal_to_the_last_digit() -> None:
    assert difference(paired([0.5], [0.5])).outcome == "identical"
    assert difference(paired([0.5, 0.6], [0.5, 0.6])).outcome == "identical"
    assert difference(paired([0.5], [0.5], stderr=0.1)).outcome == "undecided"
    assert difference([pairing_of(np.zeros((2, 5)))]).outcome == "identical"
    assert difference([pairing_of(np.array([[1.0, -1.0, 0.0]]))]).outcome == "undecided"
    assert difference(paired([0.5], [0.4])).outcome == "not comparable"
    all_right = Score(1.0, 0.0, 1000)
    assert difference([Pairing(((all_right, all_right),), 1)]).outcome == "identical"
    # Two tasks that make up for each other, and nothing that varies within them.
    assert difference([pairing_of(np.full((1, 5), 0.5)), pairing_of(np.full((1, 5), -0.5))]).outcome == "undecided"


def test_the_largest_numbers_that_records_hold_are_compared() -> None:
    """R12: a huge finite number stopped the report. One whose square is too large, of no record, has no interval."""
    result = difference(paired([LARGEST, -LARGEST, 3.0], [-LARGEST, LARGEST, 5.0]))
    assert result.outcome == "undecided" and result.p > 0.9 and result.estimate.half_width > LARGEST
    huge = difference(paired([0.5], [0.4], stderr=1e308))
    assert (huge.outcome, huge.estimate.covers) == ("not comparable", "none")


def test_lost_pairs_are_told() -> None:
    (pairing,) = paired([0.5, 0.6], [0.4, 0.55])
    assert difference([replace(pairing, planned=5)]).lost == 3
