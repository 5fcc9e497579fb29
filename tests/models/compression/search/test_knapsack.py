"""The knapsack against all choices; the bound where costs are rounded; what is refused."""

import itertools
import random

import pytest

from sparsebench.models.compression.search.knapsack import solve
from sparsebench.models.errors import ModelError

Table = list[list[float]]


def case(seed: int) -> tuple[list[list[int]], Table]:
    """Up to four mixtures of up to five options; small numbers, so that there are ties and savings below 0."""
    draw = random.Random(seed)
    sizes = [draw.randint(1, 5) for _ in range(draw.randint(1, 4))]
    costs = [[6 * draw.randint(-8, 8) for _ in range(size)] for size in sizes]
    damages = [[float(draw.randint(0, 6)) for _ in range(size)] for size in sizes]
    return costs, damages


def exhaustive(costs: list[list[int]], damages: Table, budget: int) -> tuple[float, int] | None:
    """Least damage within the budget, and the least cost that it is had for."""
    found = []
    for places in itertools.product(*(range(len(options)) for options in costs)):
        cost = sum(options[place] for options, place in zip(costs, places, strict=True))
        if cost <= budget:
            found.append((sum(options[place] for options, place in zip(damages, places, strict=True)), cost))
    return min(found, default=None)


def test_no_choice_is_better(subtests: pytest.Subtests) -> None:
    for seed in range(60):
        with subtests.test(seed=seed):
            costs, damages = case(seed)
            for budget in range(-150, 151, 25):
                best = exhaustive(costs, damages, budget)
                if best is None:
                    with pytest.raises(ModelError, match=f"a budget of {budget} is less than"):
                        solve(costs, damages, budget)
                    continue
                found = solve(costs, damages, budget)
                assert found.exact and (found.damage, found.cost) == best
                assert found.cost == sum(options[place] for options, place in zip(costs, found.chosen, strict=True))


def test_with_few_cells_the_budget_holds_and_the_bound(subtests: pytest.Subtests) -> None:
    """No choice whose cost is lower than the budget by a unit for each mixture does less damage."""
    for seed in range(30):
        with subtests.test(seed=seed):
            costs, damages = case(seed)
            budget = sum(map(min, costs)) + 60
            found = solve(costs, damages, budget, cells=7)
            assert (found.cost <= budget and found.unit <= 60 // 7 + 1) or found.exact
            bound = exhaustive(costs, damages, budget - found.unit * len(costs))
            assert bound is None or found.damage <= bound[0]


def test_a_common_divisor_keeps_large_costs_exact() -> None:
    costs = [[0, -(2**40)], [0, -3 * 2**40]]
    found = solve(costs, [[0.0, 2.0], [0.0, 1.0]], -(2**40), cells=16)
    assert found.exact and found.unit == 2**40 and found.chosen == (0, 1)


def test_equal_damages_take_the_cheaper_then_the_first() -> None:
    assert solve([[5, 3, 3]], [[1.0, 1.0, 1.0]], 9).chosen == (1,)


def test_what_cannot_be_chosen_from() -> None:
    with pytest.raises(ModelError, match="needs a cost and a damage"):
        solve([[1]], [[0.0, 1.0]], 3)
    with pytest.raises(ModelError, match="not all finite"):
        solve([[1, 0]], [[0.0, float("nan")]], 3)
