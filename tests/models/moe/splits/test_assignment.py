import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from sparsebench.models.moe.splits.assignment import assign


def least_cost(cost: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """The transportation problem as a linear program."""
    clusters, count = cost.shape
    size = np.kron(np.eye(clusters), np.ones(count))
    once = np.tile(np.eye(count), clusters)
    bounds = np.concatenate((upper, -lower))
    return linprog(cost.ravel(), np.vstack((size, -size)), bounds, once, np.ones(count)).fun


@given(
    seed=st.integers(0, 10_000),
    clusters=st.integers(1, 5),
    extra=st.integers(0, 20),
    tied=st.booleans(),
    warm=st.booleans(),
)
def test_assignment_costs_the_least(seed: int, clusters: int, extra: int, tied: bool, warm: bool) -> None:
    random = np.random.default_rng(seed)
    count = clusters + extra
    cost = random.normal(size=(clusters, count))
    cost = cost.round() if tied else cost
    lower = random.integers(0, count // clusters + 1, size=clusters)
    upper = np.maximum(lower, random.integers(-(-count // clusters), count + 1, size=clusters))
    label, _ = assign(cost, lower, upper, random.normal(size=clusters) if warm else None)
    sizes = np.bincount(label, minlength=clusters)
    assert (sizes >= lower).all() and (sizes <= upper).all()
    assert cost[label, np.arange(count)].sum() == pytest.approx(least_cost(cost, lower, upper), abs=1e-9)


def test_assignment_of_equal_points() -> None:
    label, _ = assign(np.zeros((7, 700)), np.full(7, 100), np.full(7, 100))
    assert np.bincount(label).tolist() == [100] * 7


def test_impossible_sizes() -> None:
    with pytest.raises(ValueError, match="5 points do not fit"):
        assign(np.zeros((2, 5)), np.array([3, 3]), np.array([4, 4]))
