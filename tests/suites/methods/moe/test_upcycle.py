"""Upcycling as a method: the paper's settings, growth, and training after it."""

import copy
from typing import Any

import pytest
import torch

from sparsebench.models.counting import count_parameters
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.tasks.synthetic import SyntheticText
from sparsebench.suites.llm.tasks.synthetic_choices import SyntheticChoices
from sparsebench.suites.methods.moe._calibration import split_seed
from sparsebench.suites.methods.moe.upcycle import Upcycle

BUDGET = Budget(epochs=1, batch_size=16, test_examples=8, calibration_examples=8)


def text() -> Setup:
    return SyntheticText().setup(tiny.load, Context(suite="llm", task="synthetic", seed=0, budget=BUDGET))


@torch.no_grad()
@pytest.mark.parametrize("top_k", [1, 2, 8])
def test_without_new_neurons_it_is_the_dense_model(top_k: int) -> None:
    setup = text()
    ids = setup.context.batches()[0]["input_ids"]
    dense = setup.model.double()(input_ids=ids).logits
    model = Upcycle(reinit=0.0, top_k=top_k).prepare(setup.model, setup.context)
    torch.testing.assert_close(model(input_ids=ids).logits, dense, atol=1e-12, rtol=1e-12)


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
    setup = SyntheticChoices().setup(tiny.load, Context(suite="llm", task="synthetic_choices", seed=0, budget=BUDGET))
    method = Upcycle(num_experts=4, train="all")
    model = method.prepare(setup.model, setup.context)
    before = copy.deepcopy(model.state_dict())
    method.fit(model, setup.data, setup.context)
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {f"model.layers.{block}.mlp.router.weight" for block in (0, 1)} < moved
    assert {f"model.layers.{block}.mlp.experts.gate_up" for block in (0, 1)} < moved
