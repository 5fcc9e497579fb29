import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.random_weights import RandomWeights

NAMES = ("a", "b", "c")


def run(rounds, seed=0):
    strategy = RandomWeights(NAMES, seed)
    return [strategy.update(Signal(steps=100 * number)) for number in range(rounds)]


def test_each_round_has_weights_of_its_own_and_a_seed_gives_them_again():
    found = run(50)
    assert len({weights["a"] for weights in found}) == 50
    assert found == run(50)
    assert found[0] != run(1, seed=1)[0]
    assert [sum(weights.values()) for weights in found] == pytest.approx([1] * 50, abs=1e-12)


def test_weights_are_uniform_numbers_over_their_sum():
    """All are alike in the mean, and the first exceeds 1/2 as often as U > V + W: in one case of six."""
    weights = np.array([list(found.values()) for found in run(6000)])
    assert weights.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.01)
    assert (weights[:, 0] > 0.5).mean() == pytest.approx(1 / 6, abs=0.02)


def test_by_round_or_by_step():
    assert RandomWeights(NAMES, 0).every == "round"
    assert RandomWeights(NAMES, 0, every="step").every == "step"
    with pytest.raises(MixtureError, match="no rhythm 'batch'"):
        RandomWeights(NAMES, 0, every="batch")  # pyright: ignore[reportArgumentType]
