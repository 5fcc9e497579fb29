"""Continual pre-training: the filter of its text by a donor, and noise of routers that falls."""

from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from sparsebench.models.moe.routing.statistics import Routed
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.methods.continual_pretraining import ContinualPretraining, FallingNoise
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.training.perplexity_filter import most_likely
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.training.callbacks import Callback, TrainingState


def test_it_trains_on_what_is_likely_to_the_donor(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(steps=5, batch_size=4, test_examples=2)
    context = Context(suite="llm", task="t", seed=0, budget=budget, further={"tiny": tiny.load})
    found = SyntheticDomains().setup(tiny.load, context)
    seen: list[Any] = []
    collate = type(found.data).collate
    monkeypatch.setattr(type(found.data), "collate", lambda data, rows: (seen.extend(rows), collate(data, rows))[1])
    method = ContinualPretraining(keep=0.5, donor="tiny")
    model = method.prepare(RandomSplit(train="none").prepare(found.model, found.context), found.context)
    donor = found.context.load_backbone("tiny")
    kept = most_likely(found.data, donor, 0.5, 4).train
    seen.clear()
    most_likely_rows = {row.examples[0].ids for row in kept}
    method.train_stage(model, replace(found.data, train=kept), found.context)
    trained = {row.examples[0].ids for row in seen}
    assert len(trained) == 5 * 4 and trained <= most_likely_rows
    seen.clear()
    method.fit(model, found.data, found.context)
    assert {row.examples[0].ids for row in seen[-5 * 4 :]} == trained


def test_a_filter_needs_a_fraction_and_a_donor() -> None:
    assert ContinualPretraining().backbones() == ()
    assert ContinualPretraining(keep=0.85, donor="small_llama").backbones() == ("small_llama",)
    with pytest.raises(ValueError, match=r"a filter needs both.*donor: smollm2_135m_instruct"):
        ContinualPretraining(keep=0.85)
    with pytest.raises(ValueError, match="a filter needs both"):
        ContinualPretraining(donor="small_llama")
    with pytest.raises(ValueError, match=r"keep=0.0 must lie in \(0, 1\]"):
        ContinualPretraining(keep=0.0)


def noise_scales(model: Any) -> set[float]:
    return {module.router.noise_scale for module in model.modules() if isinstance(module, Routed)}


class Scales(Callback):
    """The factor of the noise that each step after the first has."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_step(self, state: TrainingState) -> None:
        (scale,) = noise_scales(state.models["model"])
        self.found.append(scale)


STEPS = Budget(steps=4, batch_size=2, test_examples=2)
TOKENS = Budget(tokens=4 * 2 * 64, batch_size=2, test_examples=2)


@pytest.mark.parametrize(
    ("until", "budget", "scales"),
    [
        (0.5, STEPS, [0.5, 0.0, 0.0, 0.0]),
        (1.0, TOKENS, [0.75, 0.5, 0.25, 0.0]),
        (0.0, TOKENS, [0.0] * 4),
        (None, STEPS, [1.0] * 4),
    ],
)
def test_noise_falls_in_a_line_and_stays_0(until: float | None, budget: Budget, scales: list[float]) -> None:
    context = Context(suite="llm", task="t", seed=0, budget=budget)
    found = SyntheticDomains().setup(tiny.load, context)
    method = ContinualPretraining(noise_until=until)
    mixture = LlamaMoEV1(preset="2of8", train="none").prepare(found.model, found.context)
    seen = Scales()
    result = method.train_stage(method.prepare(mixture, found.context), found.data, found.context, further=[seen])
    assert seen.found == scales
    kept = result.curves.get("router agreement with the clean choice", [])
    assert len(kept) == {0.5: 2, 1.0: 4, 0.0: 0, None: 4}[until], "a step without noise has no such point"


def test_a_stopped_training_goes_on_with_its_noise() -> None:
    found = SyntheticDomains().setup(tiny.load, Context(suite="llm", task="t", seed=0, budget=STEPS))
    model = LlamaMoEV1(preset="2of8", train="none").prepare(found.model, found.context)
    stopped = FallingNoise(1.0, STEPS)
    state = TrainingState(models={"model": model}, optimizers={}, data=None, total=4, step=3)
    stopped.on_step(state)
    again = FallingNoise(1.0, STEPS)
    again.on_start(TrainingState(models={"model": model}, optimizers={}, data=None, total=4))
    assert noise_scales(model) == {1.0}
    again.load_state_dict(stopped.state_dict())
    assert noise_scales(model) == {0.25}


def test_noise_that_is_not_there_cannot_fall() -> None:
    with pytest.raises(ValueError, match=r"noise_until=1.5 must lie in \[0, 1\]"):
        ContinualPretraining(noise_until=1.5)
    state = TrainingState(models={"model": nn.Linear(2, 2)}, optimizers={}, data=None, total=4)
    with pytest.raises(ValueError, match=r"noise_until=0.5, but no router of this model has noise"):
        FallingNoise(0.5, STEPS).on_start(state)
    with pytest.raises(ValueError, match="whose number of steps nobody knows"):
        FallingNoise(0.5, STEPS).on_start(replace(state, total=None))
