"""Data mixing as a link: converted and stock mixtures, dense models, references, clusters, switches, bad input."""

import copy
import dataclasses
import math
from functools import partial
from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method, NotApplicable
from sparsebench.suites.contracts.task import Outcome, Setup
from sparsebench.suites.llm.backbones import tiny, tiny_encoder, tiny_mixture
from sparsebench.suites.llm.methods.data_mixing import DataMixing
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions
from sparsebench.suites.llm.tasks.synthetic.synthetic_mixture import SyntheticMixture
from sparsebench.suites.llm.training.data_sets import ENCODER, data_sets, held_out, reference_losses
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2

from ...reasons import reason

SETS = ("forwards", "onwards", "backwards")
V1 = LlamaMoEV1(preset="2of8", train="none")


def surroundings(further: Any = None, **budget: Any) -> Context:
    given = Budget(**{"steps": 4, "batch_size": 4, "test_examples": 2, "calibration_examples": 2, **budget})
    return Context(suite="llm", task="t", seed=0, budget=given, further=further or {})


def run(*chain: Method, task: Any = SyntheticMixture, load: Any = tiny.load, **options: Any) -> Outcome:
    return task().run(chain, load, surroundings(**options))


@pytest.mark.parametrize(
    ("chain", "load"),
    [
        ([V1], tiny.load),
        ([], tiny_mixture.load),
        ([], partial(tiny_mixture.load, argument="qwen2_moe")),
    ],
)
def test_gate_loads_move_the_weights_of_converted_and_stock_mixtures(chain: list[Method], load: Any) -> None:
    outcome = run(*chain, DataMixing(interval=2, train="all_but_router"), load=load)
    link = "2. " if chain else ""
    weights = [[value for _, value in outcome.curves[f"{link}mixing weight {name}"]] for name in SETS]
    assert [sum(at) for at in zip(*weights, strict=True)] == pytest.approx([1, 1, 1])
    assert all(0.05 / 3 <= value <= 1 - 0.05 + 0.05 / 3 for values in weights for value in values)
    assert weights[0][0] == pytest.approx(1 / 3) != weights[0][2]
    assert outcome.training is not None and outcome.training.steps == 4
    assert math.isfinite(outcome.metrics[outcome.main_metric].value)


def test_instruction_tuning_mixes_the_groups_of_conversations() -> None:
    outcome = run(V1, DataMixing(strategy="uniform", interval=2, watch=True), task=SyntheticInstructions)
    assert {name for name in outcome.curves if "mixing loss" in name} == {
        "2. mixing loss mathematics",
        "2. mixing loss backwards",
    }


def test_a_dense_model_has_no_gate_loads_but_losses() -> None:
    words = reason(SyntheticMixture, "llm", "tiny", DataMixing())
    assert words == "the backbone is a causal LM: it has no experts"
    before = DataMixing(strategy="static", rehearsal="gate_load")
    assert reason(SyntheticMixture, "llm", "tiny", before) == words
    assert reason(SyntheticMixture, "llm", "tiny_mixture", DataMixing()) is None
    assert reason(SyntheticMixture, "llm", "tiny", DataMixing(strategy="uniform")) is None
    method = DataMixing(strategy="reference_loss", donor="tiny", interval=2)
    outcome = run(method, further={"tiny": tiny.load})
    assert len(outcome.curves["mixing delta forwards"]) == 2


def test_the_reference_is_the_held_out_loss_of_the_donor() -> None:
    context = surroundings({"tiny": tiny.load})
    setup = SyntheticMixture().setup(tiny.load, context)
    batches = data_sets(setup.data).held_out_batches(4, 2)
    read = held_out(setup.data, batches, setup.context)
    donor = setup.context.load_backbone("tiny")
    found = reference_losses(donor, setup.data, read)
    for name in SETS:
        rows = [row for row in setup.data.held_out if row.group == name][:3]
        with torch.no_grad():
            expected = setup.context.loss(donor.model, setup.data.collate(rows))
        assert found[name] == pytest.approx(float(expected), abs=1e-6)
    short = dataclasses.replace(setup.data, train=setup.data.train[:5])
    with pytest.raises(ValueError, match="other tokens"):
        reference_losses(donor, short, read)


def test_a_reference_may_be_given() -> None:
    reference = dict(zip(SETS, (0.5, 1.0, 2.0), strict=True))
    outcome = run(DataMixing(strategy="reference_loss", reference=reference, interval=2, watch=True))
    for name in SETS:
        for (step, delta), (_, loss) in zip(
            outcome.curves[f"mixing delta {name}"], outcome.curves[f"mixing loss {name}"], strict=True
        ):
            assert step % 2 == 0 and delta == pytest.approx(loss - reference[name], abs=1e-9)
    with pytest.raises(ValueError, match="reference losses"):
        run(DataMixing(strategy="reference_loss", reference={"a": 1.0}))


def fitted(method: DataMixing, steps: int) -> tuple[Any, Context]:
    """Curves of a training of a stock mixture, a row a step, and where its costs are noted."""
    setup = SyntheticMixture().setup(tiny_mixture.load, surroundings(steps=steps, batch_size=1))
    model = method.prepare(setup.model, setup.context)
    return method.fit(model, setup.data, setup.context), setup.context


def test_a_run_before_gives_its_last_weights_or_losses_and_leaves_the_model_as_it_was() -> None:
    options = {"held_out_rows": 1, "interval": 1, "watch": True}
    before, _ = fitted(DataMixing(strategy="gate_load", **options), 1)
    after, _ = fitted(DataMixing(strategy="static", rehearsal="gate_load", **options), 1)
    above, context = fitted(DataMixing(strategy="reference_loss", rehearsal="uniform", **options), 1)
    for name in SETS:
        weights, losses = f"mixing weight {name}", f"mixing loss {name}"
        assert after[weights][0][1] == after[weights][-1][1] == before[weights][-1][1]
        assert above[losses] == before[losses]  # the same weights, and the same row first
        assert above[f"mixing delta {name}"] == [(1, 0.0)]
    costs = context.ledger.costs()
    assert costs is not None and costs.steps == 2


def test_small_runs_say_a_mixture_and_count_as_costs() -> None:
    """Three on the sets that are not new, three that keep the ratios of these, each of one step; no row twice."""
    new = {"added": ("backwards",), "earlier": 3, "proxies": 3, "proxy_steps": 1}
    method = DataMixing(strategy="proxy_regression", held_out_rows=1, interval=1, repeats=1, **new)
    curves, context = fitted(method, 2)
    weights = [curves[f"mixing weight {name}"] for name in SETS]
    assert sum(points[0][1] for points in weights) == pytest.approx(1)
    assert all(points[0][1] == points[-1][1] for points in weights)
    costs = context.ledger.costs()
    assert costs is not None and costs.steps == 2 + 3 + 3


def test_data_sets_by_what_they_say() -> None:
    method = DataMixing(sets="sentences", clusters=3, interval=2)
    assert method.backbones() == method.helpers() == (ENCODER,)
    outcome = run(V1, method, further={ENCODER: tiny_encoder.load})
    assert {f"2. mixing weight cluster {number}" for number in (1, 2, 3)} <= set(outcome.curves)
    assert reason(SyntheticMixture, "llm", "tiny_mixture", method) is None


def test_sentence_embeddings_are_a_mixture_of_their_own_or_a_start() -> None:
    given = {ENCODER: tiny_encoder.load}
    static = run(DataMixing(strategy="sentence_embeddings", interval=2), further=given)
    weights = {name: static.curves[f"mixing weight {name}"] for name in SETS}
    assert weights["backwards"][0][1] > weights["forwards"][0][1] and len(weights["forwards"]) == 3
    assert all(points[0][1] == points[-1][1] for points in weights.values())
    moving = run(V1, DataMixing(start="sentence_embeddings", interval=2), further=given)
    for name, points in weights.items():
        assert moving.curves[f"2. mixing weight {name}"][0] == points[0]
    assert moving.curves["2. mixing weight forwards"][2] != weights["forwards"][2]


def prepared(method: DataMixing, conversion: Method = V1) -> tuple[Any, Setup]:
    setup = SyntheticMixture().setup(tiny.load, surroundings())
    return method.prepare(conversion.prepare(setup.model, setup.context), setup.context), setup


def test_noise_and_balance_can_be_switched_off() -> None:
    model, setup = prepared(DataMixing(noise=False))
    batch = setup.data.collate(setup.data.train[:2])
    state = torch.get_rng_state()
    model.train()
    with_balance = DataMixing(noise=False).loss(model, batch, setup.context)
    without = DataMixing(noise=False, balance=False).loss(model, batch, setup.context)
    assert torch.equal(torch.get_rng_state(), state)
    assert without.item() == setup.context.loss(model, batch).item() < with_balance.item()
    with pytest.raises(NotApplicable, match="no router of this model draws noise"):
        prepared(DataMixing(noise=False), LlamaMoEV2(preset="8top2", train="none"))


def test_frozen_routers_stay_and_all_else_moves() -> None:
    method = DataMixing(train="all_but_router", interval=2, learning_rate=0.01)
    model, setup = prepared(method)
    before = copy.deepcopy(model.state_dict())
    method.fit(model, setup.data, setup.context)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    names = {name for name, _ in model.named_parameters()}
    assert moved == {name for name in names if ".router." not in name}


def test_a_budget_in_epochs_or_tokens() -> None:
    found = run(V1, DataMixing(interval=100), steps=None, epochs=1, batch_size=16).training
    rows = len(SyntheticMixture().setup(tiny.load, surroundings()).data.train)
    assert found is not None and found.steps == rows // 16
    found = run(V1, DataMixing(interval=100), steps=None, tokens=1000).training
    assert found is not None and found.tokens == math.ceil(1000 / 256) * 256


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "no"}, "no strategy 'no'"),
        ({"donor": "tiny"}, "donor='tiny'.*reference_loss"),
        ({"strategy": "reference_loss"}, "donor=None"),
        ({"strategy": "reference_loss", "donor": "tiny", "reference": {"a": 1.0}}, "either a backbone"),
        ({"strategy": "uniform", "reference": {"a": 1.0}}, "reference={'a': 1.0}.*reference_loss"),
        ({"strategy": "static", "rehearsal": "uniform", "weights": {"a": 1.0}}, "in the place of weights"),
        ({"strategy": "uniform", "rehearsal": "uniform"}, "rehearsal='uniform'"),
        ({"strategy": "static", "rehearsal": "unifrm"}, "no strategy 'unifrm'"),
        ({"strategy": "reference_loss", "rehearsal": "uniform", "donor": "tiny"}, "rehearsal='uniform'"),
        ({"strategy": "proxy_regression"}, "proxies=None"),
        ({"strategy": "uniform", "proxies": 9}, "strategy='uniform', proxies=9.*no other strategy"),
        ({"strategy": "proxy_regression", "proxies": 9, "added": ("a",)}, "earlier=None"),
        ({"strategy": "proxy_regression", "proxies": 9, "earlier": 9}, "added=\\[\\] and earlier=9"),
        ({"clusters": 1}, "clusters=1"),
        ({"interval": 0}, "interval=0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
    ],
)
def test_values_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DataMixing(**options)


def test_two_data_sets_are_too_few_for_gate_loads() -> None:
    with pytest.raises(ValueError, match="at least three"):
        run(V1, DataMixing(), task=SyntheticDomains)


def test_a_data_set_that_must_not_come_again_is_used_up() -> None:
    with pytest.raises(Exception, match="ran dry"):
        run(V1, DataMixing(strategy="static", weights=dict(zip(SETS, (1, 0, 0), strict=True)), repeat=False), steps=300)
