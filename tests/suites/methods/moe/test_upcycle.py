"""Upcycling as a method: the paper's settings, growth, and training after it."""

from typing import Any

import pytest

from sparsebench.models.counting import count_parameters
from sparsebench.suites.methods.moe._calibration import split_seed
from sparsebench.suites.methods.moe.upcycle import Upcycle

from ..setups import choices, moved, text


def test_the_settings_are_those_of_the_config() -> None:
    setup = text()
    before = count_parameters(setup.model).total
    model: Any = Upcycle(num_experts=4, top_k=1, reinit=0.25, balance_coef=0.1).prepare(setup.model, setup.context)
    config = model.model.layers[0].mlp.config
    assert (config.split, config.num_experts, config.top_k, config.reinit) == ("whole", 4, 1, 0.25)
    assert (config.balance, config.balance_coef, config.straight_through) == ("switch", 0.1, True)
    assert config.seed == split_seed(setup.context)
    assert count_parameters(model).total == before + 2 * (3 * 3 * 32 * 64 + 4 * 32)


def test_an_impossible_config_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="reinit=2"):
        Upcycle(reinit=2.0)
    with pytest.raises(ValueError, match="top_k=9"):
        Upcycle(top_k=9)


def test_experts_and_router_train_on_a_task_that_trains() -> None:
    names = moved(Upcycle(num_experts=4, train="all"), choices())
    assert {f"model.layers.{block}.mlp.router.weight" for block in (0, 1)} < names
    assert {f"model.layers.{block}.mlp.experts.gate_up" for block in (0, 1)} < names
