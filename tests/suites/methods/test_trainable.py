"""What trains after a conversion."""

import copy

import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny as tiny_lm
from sparsebench.suites.llm.tasks.synthetic import SyntheticText
from sparsebench.suites.methods._trainable import fit_head, only_head_trains
from sparsebench.suites.methods.linear_probe import LinearProbe
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.tasks.synthetic import Blobs

BUDGET = Budget(batch_size=16, test_examples=8, calibration_examples=8)


def test_the_head_of_a_prediction_task_trains_alone_and_is_what_the_probe_finds() -> None:
    setup = Blobs().setup(tiny.load, Context(suite="vtab", task="synthetic", seed=0, budget=BUDGET))
    model = only_head_trains(setup.model, setup.context)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"head.weight", "head.bias"}
    probed = copy.deepcopy(model)
    assert fit_head(model, setup.data, setup.context) == LinearProbe().fit(probed, setup.data, setup.context)  # type: ignore[arg-type]
    for ours, theirs in zip(model.state_dict().values(), probed.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_model_that_generates_stays_as_it_is() -> None:
    setup = SyntheticText().setup(tiny_lm.load, Context(suite="llm", task="synthetic", seed=0, budget=BUDGET))
    before = {name: parameter.requires_grad for name, parameter in setup.model.named_parameters()}
    weights = copy.deepcopy(setup.model.state_dict())
    model = only_head_trains(setup.model, setup.context)
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == before
    assert fit_head(model, setup.data, setup.context) == {}
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
