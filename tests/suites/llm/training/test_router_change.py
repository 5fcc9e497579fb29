"""What a training does to routers: choices compared by hand, the same training, the same after a stop."""

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.models.moe.routing.probe import routing_probe
from sparsebench.reports.panels.router_load import BEFORE
from sparsebench.reports.routers.health import CERTAINTY, START
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.methods.continual_pretraining import ContinualPretraining
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.training.data import first_of_each
from sparsebench.suites.llm.training.router_change import ROWS
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.training.callbacks import Callback, TrainingState

EVERY = 2
METHOD = ContinualPretraining(learning_rate=3e-2, noise_until=0.5, eval_every=EVERY)


class StopAt(Callback):
    """A training that is cut off."""

    def on_step(self, state: TrainingState) -> None:
        if state.step == 4:
            raise KeyboardInterrupt


@dataclasses.dataclass
class Trained:
    start: Any
    model: Any
    setup: Any
    curves: Any


def surroundings(context: Context) -> Context:
    budget = dataclasses.replace(context.budget, steps=5, batch_size=2, epochs=None)
    return dataclasses.replace(context, task="synthetic_domains", budget=budget)


def trained(context: Context, method: ContinualPretraining = METHOD, *further: Callback) -> Trained:
    context = surroundings(context)
    setup = SyntheticDomains().setup(tiny.load, context)
    start = LlamaMoEV1(preset="2of8", train="none").prepare(setup.model, setup.context)
    torch.manual_seed(5)
    model = method.prepare(copy.deepcopy(start), setup.context)
    curves = method.train_stage(model, setup.data, setup.context, further=further).curves
    return Trained(start.float().eval(), model.eval(), setup, curves)


def choices(model: Any, rows: Any) -> tuple[list[set[int]], float]:
    """Of each token of each layer, and the mean entropy over its greatest."""
    with torch.no_grad(), routing_probe(model, choices=True) as probe:
        model(input_ids=torch.tensor([row.examples[0].ids for row in rows]))
    chosen = [set(token) for index_TK in probe.choices.values() for token in index_TK.tolist()]
    entropies = [seen.token_entropy or 0.0 for seen in probe.layers.values()]
    return chosen, sum(entropies) / len(entropies) / math.log(8)


def test_the_curves_are_those_of_the_models_before_and_after(context: Context) -> None:
    found = trained(context)
    rows = first_of_each(found.setup.data.held_out, ROWS)
    (before, certainty), (after, certainty_after) = (choices(model, rows) for model in (found.start, found.model))
    agreement = sum(len(one & other) for one, other in zip(before, after, strict=True)) / sum(map(len, before))
    assert [step for step, _ in found.curves[START]] == [0, 2, 4, 5]
    assert [step for step, _ in found.curves[CERTAINTY]] == [0, 2, 4, 5]
    assert found.curves[START][0][1] == 1.0
    # Two logits that are as good as equal may be rounded apart by batches of another size: a choice of 1,024.
    assert found.curves[START][-1][1] == pytest.approx(agreement, abs=4e-3)
    assert agreement < 1
    assert found.curves[CERTAINTY][0][1] == pytest.approx(certainty, rel=1e-4)
    assert found.curves[CERTAINTY][-1][1] == pytest.approx(certainty_after, rel=1e-4)
    load = found.setup.context.notes[BEFORE]
    assert list(load["per_mille"]) == list(found.setup.data.groups)
    assert sum(map(float, load["per_mille"]["forwards"][0].split())) == pytest.approx(1000, abs=1)


def test_looking_on_changes_no_training(context: Context) -> None:
    without = trained(context, dataclasses.replace(METHOD, eval_every=None))
    assert START not in without.curves
    assert without.curves["train loss"] == trained(context).curves["train loss"]


def test_a_training_that_goes_on_has_the_same_curves(context: Context, tmp_path: Path) -> None:
    kept = dataclasses.replace(context, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        trained(kept, METHOD, StopAt())
    again = trained(kept).curves
    assert again[START] == trained(context).curves[START]


def test_a_dense_model_has_none(context: Context) -> None:
    setup = SyntheticDomains().setup(tiny.load, surroundings(context))
    method = dataclasses.replace(METHOD, noise_until=None)
    curves = method.train_stage(method.prepare(setup.model, setup.context), setup.data, setup.context).curves
    assert "val loss" in curves and START not in curves
