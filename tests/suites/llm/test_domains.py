"""Several domains in one cell, the router's load in the record, and the short training of routers."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sparsebench.reports.panels.router_load import PANEL, RouterLoad
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Outcome
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.domains import DomainsTask
from sparsebench.suites.llm.language import CausalLM
from sparsebench.suites.llm.markov import markov_documents
from sparsebench.suites.llm.router_training import RouterTrainingTask, router_parameters
from sparsebench.suites.llm.routing import watched
from sparsebench.suites.llm.tasks.synthetic import SyntheticText
from sparsebench.suites.methods.dense import Dense
from sparsebench.suites.methods.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.methods.moe_attention import MoEAttention
from sparsebench.suites.methods.moe_random import RandomSplit


class _Letters:
    """Two domains that need no download: the chain's letters, and the letter a alone."""

    version = "1"
    sources = ()
    domains = ("chain", "monotonous")
    calibration_domains = ("chain",)

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        return markov_documents(part) if domain == "chain" else ("a" * 20000,)


class Letters(_Letters, DomainsTask):
    pass


class Training(_Letters, RouterTrainingTask):
    pass


def test_the_mean_is_that_of_the_domains_and_each_is_the_single_task(lm: CausalLM, context: Context) -> None:
    scored = Letters().evaluate(lm, context)
    single = SyntheticText().evaluate(lm, context).metrics["bits_per_byte"]
    chain, other = (scored.metrics[f"bits_per_byte {name}"] for name in Letters.domains)
    assert chain == single
    mean = scored.metrics["bits_per_byte"]
    assert mean.value == pytest.approx((chain.value + other.value) / 2)
    assert chain.stderr is not None
    assert other.stderr is not None
    assert mean.stderr == pytest.approx(math.sqrt(chain.stderr**2 + other.stderr**2) / 2)
    assert (mean.n, scored.main) == (4, "bits_per_byte")
    assert scored.examples["domain"] == ["chain", "chain", "monotonous", "monotonous"]
    assert dict(scored.details) == {}


def test_the_load_counts_what_the_router_chose(context: Context) -> None:
    outcome = Letters().run(RandomSplit(num_experts=4, top_k=1), tiny.load, context)
    kept = outcome.details[PANEL.key]
    assert kept["layers"] == [0, 1]
    shares = {d: [[float(s) / 1000 for s in row.split()] for row in rows] for d, rows in kept["per_mille"].items()}
    assert [len(row) for rows in shares.values() for row in rows] == [4] * 4
    assert all(sum(row) == pytest.approx(1, abs=1e-3) for rows in shares.values() for row in rows)
    load = RouterLoad((0, 1), {d: tuple(map(tuple, rows)) for d, rows in shares.items()})
    assert outcome.metrics["router_specialisation"].value == pytest.approx(load.specialisation(), abs=2e-3)


def test_watching_agrees_with_the_routers_own_choices(context: Context) -> None:
    setup = Letters().setup(tiny.load, context)
    model: Any = RandomSplit(num_experts=4, top_k=2).prepare(setup.model, setup.context)
    ids, seen = setup.context.batches()[0]["input_ids"], []
    hook = model.model.layers[1].mlp.router.register_forward_hook(lambda *a: seen.append(a[2].index))
    _, loads = watched(model, lambda: model(input_ids=ids))
    hook.remove()
    expected = torch.bincount(torch.cat(seen).flatten(), minlength=4).double()
    assert loads[1] == pytest.approx((expected / expected.sum()).tolist())


def test_attention_routers_are_watched_where_the_ffn_has_none(context: Context) -> None:
    setup = Letters().setup(tiny.load, context)
    model: Any = MoEAttention(num_experts=4, top_k=3).prepare(setup.model, setup.context)
    ids = setup.context.batches()[0]["input_ids"]
    _, loads = watched(model, lambda: model(input_ids=ids))
    assert {block: len(load) for block, load in loads.items()} == {0: 4, 1: 4}
    assert watched(tiny.load(torch.Generator()).model, lambda: 7) == (7, {})


def test_a_single_domain_task_keeps_its_load(context: Context) -> None:
    outcome = SyntheticText().run(RandomSplit(), tiny.load, context)
    assert list(outcome.details[PANEL.key]["per_mille"]) == ["synthetic"]


@pytest.fixture
def trained(with_budget: Callable[..., Context]) -> Callable[..., Outcome]:
    budget = with_budget(epochs=2, calibration_examples=16, batch_size=8)
    return lambda method, **changes: Training().run(method, tiny.load, dataclasses.replace(budget, **changes))


def test_a_renormalised_top_one_router_stays_and_a_corrected_one_moves(trained: Callable[..., Outcome]) -> None:
    frozen, corrected = (trained(LlamaMoEV2(faithful=faithful)) for faithful in (True, False))
    assert frozen.main_metric == "router_change"
    assert frozen.metrics["router_change"].value == 0.0
    assert corrected.metrics["router_change"].value > 1e-3


def test_training_is_the_same_twice_and_lowers_the_loss(trained: Callable[..., Outcome], context: Context) -> None:
    first, again = (trained(LlamaMoEV2()).metrics for _ in range(2))
    assert first == again
    untrained = Letters().run(LlamaMoEV2(), tiny.load, dataclasses.replace(context, task="t")).metrics
    assert first["bits_per_byte"].value < untrained["bits_per_byte"].value


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
