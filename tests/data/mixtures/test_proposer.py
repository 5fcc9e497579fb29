"""The best mixture, against a fine grid, a solver of others, and what is known in closed form."""

import numpy as np
import pytest
from scipy.optimize import minimize

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.log_linear import Laws
from sparsebench.data.mixtures.proposer import capped, propose

LAWS = Laws(np.array([1.0, 0.4, 0.2]), np.array([[-1.0, 0.5, 0.8], [0.3, -2.0, 0.1], [0.2, 0.4, -1.4]]))
NATURAL = np.array([0.8, 0.15, 0.05])
FREE = np.ones(3)
STEP = 100


def objective(laws: Laws, shares: np.ndarray, natural: np.ndarray, kl: float) -> np.ndarray:
    """Of several mixtures (R, N)."""
    logs = np.log(np.where(shares > 0, shares / natural, 1))
    return laws.losses(shares).mean(1) + kl * (shares * logs).sum(1)


@pytest.mark.parametrize("kl", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("most", [FREE, np.array([0.9, 0.2, 0.13])])
def test_no_mixture_of_a_fine_grid_is_better(kl: float, most: np.ndarray):
    found = propose(LAWS, NATURAL, kl, most)
    places = np.array([(a, b, STEP - a - b) for a in range(STEP + 1) for b in range(STEP + 1 - a)]) / STEP
    allowed = places[(places <= most + 1e-12).all(1)]
    values = objective(LAWS, allowed, NATURAL, kl)
    best = objective(LAWS, found[None], NATURAL, kl)[0]
    assert found.sum() == pytest.approx(1, abs=1e-12) and (found <= most + 1e-12).all()
    assert best <= values.min() + 1e-9
    assert np.abs(found - allowed[values.argmin()]).max() < 2.5 / STEP


def test_a_solver_of_others_finds_the_same_mixture_of_many_sets():
    random = np.random.RandomState(3)
    laws = Laws(np.ones(8), random.normal(0, 0.4, (8, 8)) - 1.5 * np.eye(8))
    natural = random.dirichlet(np.full(8, 0.5)) * 0.9 + 0.1 / 8
    most = np.minimum(1, 2.5 * natural)
    other = minimize(
        lambda x: objective(laws, x[None], natural, 0.1)[0],
        natural,
        bounds=[(1e-9, bound) for bound in most],
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert propose(laws, natural, 0.1, most) == pytest.approx(other.x, abs=1e-4)


def test_a_strong_pull_gives_the_natural_mixture_and_sets_without_a_share_get_none():
    assert propose(LAWS, NATURAL, 1e6, FREE) == pytest.approx(NATURAL, abs=1e-5)
    without = propose(LAWS, np.array([0.5, 0.0, 0.5]), 0.05, FREE)
    assert without[1] == 0 and without.sum() == pytest.approx(1, abs=1e-12)


def test_bounds_that_leave_nothing():
    with pytest.raises(MixtureError, match="less than 1 in all"):
        propose(LAWS, NATURAL, 0.05, np.array([0.5, 0.3, 0.1]))
    assert propose(LAWS, NATURAL, 0.05, np.array([0.5, 0.3, 0.2])) == pytest.approx([0.5, 0.3, 0.2], abs=1e-12)


def test_what_exceeds_its_bound_is_cut_and_the_rest_scaled():
    """0.6 is cut to 0.3, which lifts 0.3 to 0.525 and above its bound, too."""
    assert capped(np.log([0.6, 0.3, 0.1]), np.array([0.3, 0.5, 1.0])) == pytest.approx([0.3, 0.5, 0.2])
    assert capped(np.log([0.6, 0.3, 0.1]), FREE) == pytest.approx([0.6, 0.3, 0.1])
