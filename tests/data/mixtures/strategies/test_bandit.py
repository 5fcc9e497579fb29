import math

import numpy as np
import pytest

from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.bandit import Bandit

NAMES = ("a", "b", "c")
LOSSES = {"a": 3.0, "b": 2.0, "c": 1.0}


def test_two_rounds_by_hand():
    """Rewards of a round are 1, 1/2 and 0; the rate before the first is 1/3, after it min(1/3, sqrt(ln 3 / 3 t))."""
    strategy = Bandit(NAMES)
    strategy.update(Signal(losses=LOSSES))
    assert strategy.weights == pytest.approx(dict.fromkeys(NAMES, 1 / 3), abs=1e-12)  # sqrt(ln 3 / 3) exceeds 1/3
    for _ in range(4):
        strategy.update(Signal(losses=LOSSES))
    before, floor = math.sqrt(math.log(3) / 12), math.sqrt(math.log(3) / 15)
    powers = np.exp(before * np.array([5.0, 2.5, 0.0]))
    expected = (1 - 3 * floor) * powers / powers.sum() + floor
    assert list(strategy.weights.values()) == pytest.approx(expected.tolist(), abs=1e-12)
    assert strategy.seen["deltas"] == {"a": 5.0, "b": 2.5, "c": 0.0}


def test_no_data_set_falls_below_the_exploration():
    strategy = Bandit(NAMES)
    for number in range(1, 200):
        weights = strategy.update(Signal(losses=LOSSES))
        assert min(weights.values()) >= strategy.exploration(number) - 1e-12
    assert weights["a"] > weights["b"] > weights["c"]


def test_equal_losses_move_nothing():
    strategy = Bandit(NAMES)
    for _ in range(10):
        weights = strategy.update(Signal(losses=dict.fromkeys(NAMES, 2.0)))
    assert weights == pytest.approx(dict.fromkeys(NAMES, 1 / 3), abs=1e-12)


def test_permuting_data_sets_permutes_weights():
    one, other = Bandit(NAMES), Bandit(NAMES[::-1])
    for _ in range(9):
        assert one.update(Signal(losses=LOSSES)) == pytest.approx(other.update(Signal(losses=LOSSES)), abs=1e-12)


def test_one_data_set_has_all_the_weight():
    assert Bandit(("a",)).update(Signal(losses={"a": 1.0})) == {"a": 1.0}
