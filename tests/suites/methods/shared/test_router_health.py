"""The health of routers: what a mixture notes for records whose task does not watch routers."""

from dataclasses import replace

import pytest
import torch

from sparsebench.models.moe import router_health
from sparsebench.reports.routers.health import CALIBRATION, ON_CALIBRATION, from_details
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.shared._router_health import note_health
from sparsebench.suites.training.trainable import Trains

from ...unwatched import hide_experts
from ..setups import choices, images


def test_a_mixture_notes_the_health_of_its_routers() -> None:
    expected: dict[Trains, set[str]] = {"none": set(), "head": set(), "all": {"train loss", "router cv2"}}
    for train, trained in expected.items():
        setup, method = images(), RandomSplit(num_experts=4, top_k=2, train=train)
        model = method.prepare(setup.model, setup.context)
        state = torch.get_rng_state()
        curves = method.fit(model, setup.data, setup.context)
        if train != "all":
            assert torch.equal(torch.get_rng_state(), state)
        assert trained <= set(curves)
        health = from_details(setup.context.notes[ON_CALIBRATION])
        assert health.layers and health.experts == (4,) * len(health.layers)
        seen = router_health(model, {"again": setup.context.calibration()})["again"]
        worst = [numbers.worst for numbers in health.domains[CALIBRATION]]
        assert worst == pytest.approx([layer.worst for layer in seen.values()], rel=1e-3)


def test_nothing_is_noted_where_there_is_nothing_to_see() -> None:
    setup = choices()
    model = RandomSplit(num_experts=4, train="none").prepare(setup.model, setup.context)
    note_health(model, setup.context)
    assert setup.context.notes == {}  # the task itself looks at the routers
    setup = images()
    note_health(setup.model, setup.context)
    model = RandomSplit(num_experts=4, train="none").prepare(setup.model, setup.context)
    note_health(model, replace(setup.context, batches=list))
    assert setup.context.notes == {}


def test_routers_that_cannot_be_watched_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = images()
    model = RandomSplit(num_experts=4, train="none").prepare(setup.model, setup.context)
    hide_experts(monkeypatch)
    with pytest.warns(UserWarning, match="no health of the routers: the experts of"):
        note_health(model, setup.context)
    assert setup.context.notes == {}
