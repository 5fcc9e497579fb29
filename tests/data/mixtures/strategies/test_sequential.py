import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.sequential import OTHERS, Sequential

NAMES = ("a", "b", "c")


def test_one_after_the_other_and_around_again():
    strategy = Sequential(NAMES, period=200)
    turns = [max(strategy.weights, key=strategy.weights.__getitem__)]
    for steps in range(100, 900, 100):
        weights = strategy.update(Signal(steps=steps))
        turns.append(max(weights, key=weights.__getitem__))
    assert turns == ["a", "a", "b", "b", "c", "c", "a", "a", "b"]


def test_the_others_keep_a_trace():
    weights = Sequential(NAMES).weights
    assert (weights["b"], weights["c"]) == (OTHERS, OTHERS)
    assert weights["a"] == pytest.approx(1 - 2 * OTHERS, abs=1e-15)


def test_a_period_is_at_least_a_step():
    with pytest.raises(MixtureError, match="a period of 0 steps"):
        Sequential(NAMES, period=0)
