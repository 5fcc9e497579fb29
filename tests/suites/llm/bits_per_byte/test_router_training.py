"""The short training that is the same for every row."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Outcome
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.bits_per_byte.router_training import RouterTrainingTask, router_parameters
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.methods.moe.moe_random import RandomSplit

from ..letters import LetterDomains, Letters


class Training(LetterDomains, RouterTrainingTask):
    pass


@pytest.fixture
def trained(with_budget: Callable[..., Context]) -> Callable[..., Outcome]:
    budget = with_budget(epochs=2, calibration_examples=16, batch_size=8)
    return lambda method, **changes: Training().run([method], tiny.load, dataclasses.replace(budget, **changes))


def test_a_renormalised_top_one_router_stays_and_a_corrected_one_moves(trained: Callable[..., Outcome]) -> None:
    frozen, corrected = (trained(LlamaMoEV2(faithful=faithful)) for faithful in (True, False))
    assert frozen.main_metric == "router_change"
    assert frozen.metrics["router_change"].value == 0.0
    assert corrected.metrics["router_change"].value > 1e-3


def test_training_is_the_same_twice_and_lowers_the_loss(trained: Callable[..., Outcome], context: Context) -> None:
    first, again = (trained(LlamaMoEV2()).metrics for _ in range(2))
    assert first == again
    untrained = Letters().run([LlamaMoEV2()], tiny.load, dataclasses.replace(context, task="t")).metrics
    assert first["bits_per_byte"].value < untrained["bits_per_byte"].value


def test_the_record_keeps_health_after_training_and_what_its_speed_is_told_by(
    trained: Callable[..., Outcome],
) -> None:
    outcome = trained(LlamaMoEV2())
    assert {"router_health", "product_rate"} <= set(outcome.details)
    assert outcome.training is not None
    assert outcome.training.tokens == 2 * 16 * 256


def test_training_a_bfloat16_model_is_done_in_float32(trained: Callable[..., Outcome]) -> None:
    change = trained(LlamaMoEV2(), dtype=torch.bfloat16).metrics["router_change"].value
    assert change == pytest.approx(trained(LlamaMoEV2()).metrics["router_change"].value, rel=0.5)


def test_a_model_without_routers_is_not_applicable(trained: Callable[..., Outcome]) -> None:
    with pytest.raises(NotApplicable, match="no router"):
        trained(Dense())


def test_noise_is_no_routing_parameter(context: Context) -> None:
    setup = Letters().setup(tiny.load, context)
    model = RandomSplit(num_experts=4).prepare(setup.model, setup.context)
    assert [tuple(parameter.shape) for parameter in router_parameters(model)] == [(4, 32), (4, 32)]
