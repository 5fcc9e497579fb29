"""Random features: a probe on weights of which nothing is left that was trained."""

from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.vtab.backbones import timm as timm_backbone
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.methods.random_features import RandomFeatures
from sparsebench.suites.vtab.tasks.synthetic import Blobs


def context(seed: int = 0) -> Context:
    budget = Budget(epochs=1, batch_size=16, calibration_examples=16)
    return Context(suite="vtab", task="synthetic", seed=seed, budget=budget)


def test_the_weights_that_are_given_leave_no_trace_and_the_seed_counts() -> None:
    """Two networks that have nothing in common become one; another seed gives another one."""
    found = []
    for given, seed in ((0, 0), (1, 0), (0, 1)):
        setup = Blobs().setup(lambda _, given=given: tiny.load(torch.Generator().manual_seed(given)), context(seed))
        model: Any = RandomFeatures().prepare(setup.model, setup.context)
        found.append(torch.cat([weight.flatten() for weight in model.body.parameters()]))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_it_learns_the_colours() -> None:
    outcome = Blobs().run([RandomFeatures()], tiny.load, context())
    assert outcome.metrics["accuracy"].value > 0.4, "chance is 0.25"
    assert RandomFeatures.stochastic, "the plan gives it all seeds, on fixed weights too"


def test_a_network_that_nobody_can_draw_has_none() -> None:
    body = timm_backbone.load(torch.Generator(), "convnext_atto:32")
    with pytest.raises(NotApplicable, match=r"says how stages\.0\.blocks\.0\.gamma is drawn"):
        RandomFeatures().prepare(LinearHeadModel(body, 2, torch.Generator()), context())
