"""What is paired with what, and what is lost when cells fail; scores of several draws as one, and changes."""

import numpy as np
import pytest

from sparsebench.reports.statistics import ExampleScores, Score, Side, change, mean_score, pair


def side(*values, planned: int, stochastic: bool = True) -> Side:
    """Scores by seed; None for a seed that failed."""
    scores = {seed: Score(value) for seed, value in enumerate(values) if value is not None}
    return Side(scores, planned, stochastic)


def values_of(pairing) -> list[tuple[float, float]]:
    return [(ours.value, theirs.value) for ours, theirs in pairing.pairs]


def test_the_variance_of_a_fraction_is_never_less_than_that_of_two_hits_and_two_misses_more() -> None:
    assert Score(1.0, 0.0, trials=10).variance == pytest.approx(12 / 14 * 2 / 14 / 10)
    assert Score(0.5, 0.4, trials=10).variance == pytest.approx(0.16)
    assert Score(1.0, 0.1).variance == pytest.approx(0.01)
    assert Score(1.0).variance is None


def test_a_deterministic_side_is_paired_with_every_seed() -> None:
    fixed = side(0.9, planned=1, stochastic=False)
    many = side(0.5, 0.6, planned=2)
    assert values_of(pair(fixed, many)) == [(0.9, 0.5), (0.9, 0.6)]
    assert values_of(pair(many, fixed)) == [(0.5, 0.9), (0.6, 0.9)]
    assert pair(many, fixed).lost == 0


def test_a_stochastic_side_with_one_good_seed_is_paired_with_that_seed_only() -> None:
    """R10: one good seed of three was taken for a deterministic row, and paired with all seeds of the other."""
    survivor = side(None, 2.0, None, planned=3)
    whole = side(3.0, 2.1, 3.2, planned=3)
    pairing = pair(survivor, whole)
    assert values_of(pairing) == [(2.0, 2.1)]
    assert pairing.lost == 2
    assert values_of(pair(whole, survivor)) == [(2.1, 2.0)]


def test_seeds_that_failed_are_lost_against_a_deterministic_side_as_well() -> None:
    pairing = pair(side(0.5, None, 0.7, planned=3), side(0.4, planned=1, stochastic=False))
    assert values_of(pairing) == [(0.5, 0.4), (0.7, 0.4)]
    assert pairing.lost == 1


@pytest.mark.parametrize("stochastic", [True, False])
def test_without_a_score_there_is_no_pair(stochastic: bool) -> None:
    planned = 3 if stochastic else 1
    none = Side({}, planned, stochastic)
    assert pair(none, side(0.1, 0.2, 0.3, planned=3)).pairs == ()
    assert pair(side(0.1, 0.2, 0.3, planned=3), none).lost == 3
    assert pair(Side({0: Score(0.1)}, 2, True), Side({1: Score(0.1)}, 2, True)).pairs == ()


def test_two_deterministic_sides_are_one_pair() -> None:
    fixed = side(0.9, planned=1, stochastic=False)
    assert values_of(pair(fixed, fixed)) == [(0.9, 0.9)]
    assert pair(fixed, fixed).lost == 0


def score(values, same=0.0):
    values = np.array(values, dtype=float)
    kept = ExampleScores(values, np.zeros(len(values), dtype=int), (1.0,), np.full(len(values), same))
    return Score(float(values.mean()), 0.5, read=lambda: kept)


def test_a_mean_and_a_change_are_those_of_every_example():
    first, second = score([1, 2, 6]), score([3, 2, 1])
    mean = mean_score([first, second, score([2, 2, 2])])
    assert mean.value == pytest.approx(7 / 3)
    assert mean.read is not None and mean.read().values.tolist() == [2, 2, 3]
    lost = change(first, second)
    assert (lost.value, lost.stderr) == (1.0, 1.0)
    assert lost.read is not None and lost.read().values.tolist() == [-2, 0, 5]
    assert mean_score([first]) is first
    own = Score(1.0, 0.5, overlap=0.1)
    assert mean_score([own, own]).overlap == change(own, first).overlap == 0.1 and lost.overlap is None


def test_other_examples_leave_the_scores_alone():
    mean, lost = mean_score([score([1, 2]), score([3, 4], same=1)]), change(score([1, 2]), Score(1.0))
    assert (mean.value, mean.stderr, lost.value, lost.stderr) == (2.5, 0.5, 0.5, None)
    assert mean.read is not None and mean.read() is None
    assert lost.read is not None and lost.read() is None
