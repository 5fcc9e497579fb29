"""Curves of the routers over layers: what a mixture leaves in records whose task does not watch routers."""

from dataclasses import replace

import pytest
import torch

from sparsebench.models.moe import router_health
from sparsebench.reports.routers.layer_curves import from_curves
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.llm.backbones import tiny as tiny_lm
from sparsebench.suites.llm.tasks.synthetic_choices import SyntheticChoices
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.shared._router_health import health_curves
from sparsebench.suites.training.trainable import Trains
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ...unwatched import hide_experts

BUDGET = Budget(epochs=1, batch_size=16, test_examples=8, calibration_examples=8)


def blobs() -> Setup:
    return Blobs().setup(tiny.load, Context(suite="vtab", task="synthetic", seed=0, budget=BUDGET))


def test_a_mixture_leaves_curves_of_its_routers_over_its_layers() -> None:
    expected: dict[Trains, set[str]] = {"none": set(), "head": set(), "all": {"train loss", "router cv2"}}
    for train, trained in expected.items():
        setup, method = blobs(), RandomSplit(num_experts=4, top_k=2, train=train)
        model = method.prepare(setup.model, setup.context)
        state = torch.get_rng_state()
        curves = method.fit(model, setup.data, setup.context)
        if train != "all":
            assert torch.equal(torch.get_rng_state(), state)
        assert trained <= set(curves)
        health = from_curves(curves, "calibration")
        assert health is not None and health.experts == (4,) * len(health.layers)
        seen = router_health(model, {"again": setup.context.calibration()})["again"]
        worst = [numbers.worst for numbers in health.domains["calibration"]]
        assert worst == pytest.approx([layer.worst for layer in seen.values()])


def test_no_curves_where_there_is_nothing_to_see() -> None:
    context = Context(suite="llm", task="synthetic_choices", seed=0, budget=BUDGET)
    setup = SyntheticChoices().setup(tiny_lm.load, context)
    model = RandomSplit(num_experts=4, train="none").prepare(setup.model, setup.context)
    assert health_curves(model, setup.context) == {}  # the task itself looks at the routers
    setup = blobs()
    assert health_curves(setup.model, setup.context) == {}
    model = RandomSplit(num_experts=4, train="none").prepare(setup.model, setup.context)
    assert health_curves(model, replace(setup.context, batches=list)) == {}


def test_routers_that_cannot_be_watched_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = blobs()
    model = RandomSplit(num_experts=4, train="none").prepare(setup.model, setup.context)
    hide_experts(monkeypatch)
    with pytest.warns(UserWarning, match="no health of the routers: the experts of"):
        assert health_curves(model, setup.context) == {}
