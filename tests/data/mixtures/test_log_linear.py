"""Laws of losses, against laws that are known."""

import numpy as np
import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.log_linear import Laws, fit
from sparsebench.data.mixtures.proxy_runs import proxy_mixtures

PRIOR = {"a": 0.7, "b": 0.2, "c": 0.1}
TRUTH = Laws(np.array([1.0, 0.4]), np.array([[-1.0, 0.5, 0.8], [0.3, -2.0, 0.1]]))


def shares(count: int) -> np.ndarray:
    return np.array([list(weights.values()) for weights in proxy_mixtures(PRIOR, count, seed=1)])


def test_losses_are_a_floor_and_an_exponential_of_a_line():
    expected = [1.0 + np.exp(-0.25 + 0.25 + 0.2), 0.4 + np.exp(0.3 * 0.25 - 1.0 + 0.1 * 0.25)]
    assert TRUTH.losses(np.array([0.25, 0.5, 0.25])) == pytest.approx(expected, abs=1e-15)


def test_a_known_truth_is_recovered():
    """Without noise, floors and slopes themselves; with it, losses of other mixtures within the noise."""
    runs_RN = shares(12)
    found = fit(runs_RN, TRUTH.losses(runs_RN))
    assert found.floors == pytest.approx(TRUTH.floors, abs=1e-6)
    assert found.slopes == pytest.approx(TRUTH.slopes, abs=1e-6)
    many_RN = shares(40)
    noise = 0.02
    noisy_RJ = TRUTH.losses(many_RN) + np.random.RandomState(0).normal(0, noise, (40, 2))
    others_RN = np.random.RandomState(2).dirichlet([1, 1, 1], 200)
    errors = fit(many_RN, noisy_RJ).losses(others_RN) - TRUTH.losses(others_RN)
    assert np.sqrt((errors**2).mean()) < noise


def test_as_many_runs_as_parameters_at_least():
    with pytest.raises(MixtureError, match=r"3 small runs cannot say how losses move with 3 fractions.*at least 4"):
        fit(shares(3), TRUTH.losses(shares(3)))
