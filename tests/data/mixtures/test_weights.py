import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.weights import (
    checked_choice,
    checked_names,
    checked_rates,
    checked_sizes,
    checked_weights,
    moved,
)

NUMBERS = st.floats(0, 3)
MIXTURES = st.lists(st.tuples(st.floats(0.01, 1), NUMBERS), min_size=2, max_size=8)


def as_weights(numbers):
    weights_N = np.array(numbers)
    return weights_N / weights_N.sum()


@given(MIXTURES, st.floats(0.01, 20), st.floats(0, 1))
def test_bounds_and_sum(mixture, eta, smoothing):
    weights_N = as_weights([weight for weight, _ in mixture])
    after_N = moved(weights_N, np.array([delta for _, delta in mixture]), eta, smoothing)
    floor = smoothing / len(mixture)
    assert after_N.sum() == pytest.approx(1, abs=1e-12)
    assert (after_N >= floor - 1e-12).all()
    assert (after_N <= 1 - smoothing + floor + 1e-12).all()


@given(MIXTURES, st.randoms(use_true_random=False))
def test_permuting_data_sets_permutes_weights(mixture, random):
    weights_N = as_weights([weight for weight, _ in mixture])
    delta_N = np.array([delta for _, delta in mixture])
    order = list(range(len(mixture)))
    random.shuffle(order)
    permuted_N = moved(weights_N[order], delta_N[order], 10.0, 0.05)
    assert permuted_N == pytest.approx(moved(weights_N, delta_N, 10.0, 0.05)[order], abs=1e-12)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_equal_deltas_leave_equal_weights_where_they_are(count):
    weights_N = np.full(count, 1 / count)
    assert moved(weights_N, np.full(count, 0.3), 10.0, 0.05) == pytest.approx(weights_N, abs=1e-12)


def test_without_a_step_and_smoothing_nothing_moves():
    weights_N = np.array([0.7, 0.2, 0.1])
    assert moved(weights_N, np.array([3.0, 0.0, 1.0]), 0.0, 0.0) == pytest.approx(weights_N, abs=1e-15)


def test_a_step_by_hand():
    """exp(2 ln 2) : exp(0) from equal weights are 4 : 1, half of which is smoothed to equal shares."""
    after_N = moved(np.array([0.5, 0.5]), np.array([math.log(2), 0.0]), 2.0, 0.5)
    assert after_N == pytest.approx([0.5 * 0.8 + 0.25, 0.5 * 0.2 + 0.25], abs=1e-15)


def test_a_constant_gap_reaches_the_ceiling():
    """The sheet's figure: a gap of 0.1 between one data set and three others gives it 0.94 in 20 rounds."""
    weights_N = np.full(4, 0.25)
    for _ in range(20):
        weights_N = moved(weights_N, np.array([0.1, 0, 0, 0]), 10.0, 0.05)
    assert weights_N[0] == pytest.approx(0.94, abs=0.005)


def test_large_deltas_overflow_nothing():
    assert moved(np.array([0.5, 0.5]), np.array([1e4, 0.0]), 10.0, 0.0).tolist() == [1.0, 0.0]


def test_a_weight_of_zero_comes_back_by_smoothing_alone():
    weights_N = np.array([1.0, 0.0])
    assert moved(weights_N, np.array([0.0, 9.0]), 10.0, 0.0).tolist() == [1.0, 0.0]
    assert moved(weights_N, np.array([0.0, 9.0]), 10.0, 0.2).tolist() == pytest.approx([0.9, 0.1], abs=1e-15)


def test_weights_are_in_the_order_of_the_names_and_sum_to_one():
    weights = checked_weights({"b": 0.333, "a": 0.666}, ("a", "b"))
    assert list(weights) == ["a", "b"]
    assert sum(weights.values()) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 0.5, "b": 0.6}, r"sum to 1\.1, not to 1; divide each by 1\.1"),
        ({"a": 1.2, "b": -0.2}, "data set 'b' is -0.2; give a number of at least 0"),
        ({"a": 0.5, "b": float("nan")}, "data set 'b' is nan"),
        ({"a": 1.0}, "weights: none for data set 'b'"),
        ({"a": 0.5, "b": 0.5, "ab": 0.0}, "weights: no data set 'ab' in the mixture"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(MixtureError, match=message):
        checked_weights(weights, ("a", "b"))


def test_bad_names():
    with pytest.raises(MixtureError, match="not the one text 'code'"):
        checked_names("code")
    with pytest.raises(MixtureError, match="at least one data set"):
        checked_names([])
    with pytest.raises(MixtureError, match="'a' is in the mixture twice"):
        checked_names(["a", "b", "a"])


def test_an_empty_data_set():
    with pytest.raises(MixtureError, match="data set 'b' has 0 rows"):
        checked_sizes({"a": 3, "b": 0})


@pytest.mark.parametrize("eta", [0, -1.0, float("nan"), float("inf")])
def test_bad_step_sizes(eta):
    with pytest.raises(MixtureError, match="eta is"):
        checked_rates(eta, 0.1)


@pytest.mark.parametrize("smoothing", [-0.01, 1.01, float("nan")])
def test_bad_smoothing(smoothing):
    with pytest.raises(MixtureError, match="smoothing is"):
        checked_rates(1.0, smoothing)


def test_an_unknown_choice():
    with pytest.raises(MixtureError, match="no distance 'cosin'; did you mean cosine"):
        checked_choice("distance", "cosin", ("l2", "cosine"))
