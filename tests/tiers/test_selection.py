from pathlib import Path

import pytest

from .costs import Costs
from .selection import BUDGET, CHEAP, PARTS, for_quick_test, for_test, parts_of, standing

COMMITS = [f"{number:08x}" + 32 * "0" for number in range(PARTS)]
"""Their first eight digits leave each remainder of the number of parts once."""


@pytest.fixture
def costs(tmp_path: Path) -> Costs:
    """Six cheap functions, twelve dear ones of 2 to 13 seconds, and a minute of collection."""
    costs = Costs(tmp_path / "costs.json")
    costs.collection = 60.0
    costs.known = {f"cheap{number}": 0.3 for number in range(6)}
    costs.known |= {f"dear{number}": 2.0 + number for number in range(12)}
    return costs


def test_as_many_commits_as_there_are_parts_run_everything_once(costs: Costs) -> None:
    everything = list(costs.known)
    chosen = [for_test(everything, costs, commit, set()) for commit in COMMITS]
    assert sorted(name for choice in chosen for name in choice.by_commit) == sorted(
        name for name in everything if costs.of(name) >= CHEAP
    )
    for choice in chosen:
        assert choice.cheap == [f"cheap{number}" for number in range(6)]
        assert choice.left == choice.touched == []


def test_the_same_commit_gives_the_same_tests_in_any_order_of_the_tree(costs: Costs) -> None:
    everything = list(costs.known)
    one = for_test(everything, costs, "c0ffee00aa", set())
    assert one.functions == for_test(everything[::-1], costs, "c0ffee00bb", set()).functions


def test_parts_cost_nearly_the_same(costs: Costs) -> None:
    weights = [costs.together(part) for part in parts_of([f"dear{number}" for number in range(12)], costs)]
    assert sum(weights) == 90
    # Graham's bound for the longest first: 4/3 of the best, which is no less than the mean and the dearest function.
    assert max(weights) <= 4 / 3 * max(90 / PARTS, 13)


def test_a_function_without_a_cost_is_run(costs: Costs) -> None:
    assert "new" in for_test([*costs.known, "new"], costs, COMMITS[0], set()).cheap


def test_what_is_touched_is_run_the_cheapest_first_while_the_budget_lasts(costs: Costs) -> None:
    costs.known |= {"huge": BUDGET, "large": 400.0}
    everything = list(costs.known)
    dear = {name for name in everything if costs.of(name) >= CHEAP}
    costs.known["huge"] = 700.0
    choice = for_test(everything, costs, COMMITS[2], dear)
    assert choice.functions | set(choice.left) == set(everything)
    assert choice.left
    assert choice.seconds <= BUDGET
    assert choice.seconds == pytest.approx(120 + costs.together(choice.functions))
    assert max(map(costs.of, choice.touched)) <= min(map(costs.of, choice.left))


def test_what_stands_before_anything_is_touched(costs: Costs) -> None:
    everything = list(costs.known)
    heaviest = max(for_test(everything, costs, commit, set()).seconds for commit in COMMITS)
    assert standing(everything, costs) == heaviest
    assert heaviest == pytest.approx(2 * 60 + 6 * 0.3 + max(90 / PARTS, 13), abs=2)


def test_quick_runs_what_is_touched_and_no_more(costs: Costs) -> None:
    costs.known["huge"] = 1000.0
    choice = for_quick_test(costs, {"cheap1", "dear3", "huge"})
    assert choice.functions == {"cheap1", "dear3"}
    assert (choice.left, choice.seconds) == (["huge"], 5.3)


def test_functions_that_share_a_fixture_pay_it_once_and_none_of_them_is_cheap(costs: Costs) -> None:
    names = [f"tests/test_a.py::test_{letter}" for letter in "abc"]
    costs.known |= dict.fromkeys(names, 0.02)
    costs.shared = dict.fromkeys(names, 20.0)
    everything = list(costs.known)
    parts = parts_of([name for name in everything if costs.of(name) >= CHEAP], costs)
    assert [len(set(names) & set(part)) for part in parts if set(names) & set(part)] == [3]
    assert costs.together(names) == pytest.approx(20.06)
    chosen = for_quick_test(costs, {*names, "cheap0"})
    assert chosen.seconds == pytest.approx(20.36)
    assert all(set(names).isdisjoint(for_test(everything, costs, commit, set()).cheap) for commit in COMMITS)
