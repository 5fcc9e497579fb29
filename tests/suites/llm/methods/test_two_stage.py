"""Stages of equal budget on the same rows, whatever their order."""

import copy
from collections import Counter
from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.methods.two_stage import TwoStage
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions

ORDERS = ("general_first", "reversed", "mixed")


def setup(seed: int = 0, **budget: Any) -> Setup:
    context = Context(suite="llm", task="t", seed=seed, budget=Budget(batch_size=2, **budget))
    return SyntheticInstructions().setup(tiny.load, context)


def method(order: Any = "general_first", **options: Any) -> TwoStage:
    return TwoStage(order=order, **options)


@pytest.mark.parametrize("budget", [{"tokens": 1500}, {"steps": 6}, {"epochs": 1}])
def test_all_orders_see_the_same_rows_half_of_them_special(budget: dict[str, int]) -> None:
    found = setup(**budget)
    by_order = {order: method(order).stages(found.data, found.context) for order in ORDERS}
    general, special = by_order["general_first"]
    assert {row.group for row in general} == {"backwards"} and {row.group for row in special} == {"mathematics"}
    assert by_order["reversed"] == [special, general]
    (mixed,) = by_order["mixed"]
    assert Counter(map(id, mixed)) == Counter(map(id, [*general, *special]))
    assert len({row.group for row in mixed[:6]}) == 2, "a mixed stage mixes"
    if "tokens" in budget:
        for rows in (general, special):
            assert 750 <= sum(map(len, rows)) < 750 + 128
    if "steps" in budget:
        assert len(general) == len(special) == 6


def test_the_rows_depend_on_task_and_seed() -> None:
    first, other = setup(steps=6), setup(seed=1, steps=6)
    again = method().stages(setup(steps=6).data, first.context)
    assert method().stages(first.data, first.context) == again
    assert method().stages(other.data, other.context) != again


def test_stages_train_one_after_another_and_orders_differ() -> None:
    weights = {}
    curves = {}
    for order in ORDERS:
        found = setup(tokens=1500)
        here = method(order, learning_rate=0.01)
        torch.manual_seed(0)
        model = here.prepare(found.model, found.context)
        result = here.train_stage(model, found.data, found.context)
        weights[order] = copy.deepcopy(model.state_dict())
        curves[order] = result
    name = "model.norm.weight"
    assert not torch.equal(weights["general_first"][name], weights["reversed"][name])
    assert not torch.equal(weights["general_first"][name], weights["mixed"][name])
    assert {result.tokens for result in curves.values()} == {curves["mixed"].tokens}
    for result in curves.values():
        steps = [step for step, _ in result.curves["train loss"]]
        assert steps == [float(step) for step in range(1, result.steps + 1)]
        assert result.curves["train loss by tokens"][-1][0] == result.tokens


def test_groups_that_there_are_not() -> None:
    found = setup(tokens=1500)
    with pytest.raises(ValueError, match=r"no group 'backward' .*backwards"):
        TwoStage(special=("backward",)).stages(found.data, found.context)
    plain = found.data.only(["backwards"])
    with pytest.raises(ValueError, match="leaves a stage empty"):
        TwoStage().stages(plain, found.context)
    with pytest.raises(ValueError, match="leaves a stage empty"):
        TwoStage(special=("backwards", "mathematics")).stages(found.data, found.context)
    with pytest.raises(ValueError, match="repeat: true"):
        setup_all = setup(tokens=10**6)
        method().stages(setup_all.data, setup_all.context)
