"""What trains after a transform: every row of a task that trains moves something, or is not applicable."""

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny as tiny_lm
from sparsebench.suites.llm.tasks.synthetic.synthetic_choices import SyntheticChoices
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.compression.neuron_pruning import NeuronPruning
from sparsebench.suites.methods.moe.moe_attention import MoEAttention
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.shared._tuned import TunedMethod

from ...reasons import reason
from ..setups import choices, images, moved, surroundings, text


@dataclass(frozen=True, kw_only=True)
class Nothing(TunedMethod):
    """Transforms nothing."""

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone


def test_the_head_of_a_prediction_task_trains_alone_and_is_what_the_probe_finds() -> None:
    setup, method = images(), Nothing()
    model = method.prepare(setup.model, setup.context)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"head.weight", "head.bias"}
    probed: Any = copy.deepcopy(model)
    assert method.fit(model, setup.data, setup.context) == LinearProbe().fit(probed, setup.data, setup.context)
    for ours, theirs in zip(model.state_dict().values(), probed.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("train", ["head", "all", "none"])
def test_where_the_task_does_not_train_the_model_stays_as_it_is(train: Any) -> None:
    setup = text()
    before = {name: parameter.requires_grad for name, parameter in setup.model.named_parameters()}
    weights = copy.deepcopy(setup.model.state_dict())
    method = Nothing(train=train)
    model = method.prepare(setup.model, setup.context)
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == before
    assert method.fit(model, setup.data, setup.context) == {}
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", [RandomSplit, NeuronPruning, MoEAttention])
def test_on_multiple_choice_a_row_trains_or_is_not_applicable(kind: Any) -> None:
    """M10: a mixture with `train: all` was neither trained nor not applicable there."""
    assert moved(kind(train="all"), choices()) > {"model.embed_tokens.weight", "model.norm.weight"}
    assert moved(kind(train="none"), choices()) == set()
    wanted = reason(SyntheticChoices, "llm", "tiny", kind())
    assert wanted is not None and "train: none" in wanted
    with pytest.raises(NotApplicable, match="train: head, but here the model keeps the head"):
        SyntheticChoices().run([kind()], tiny_lm.load, surroundings("llm"))


def test_router_and_experts_train_apart() -> None:
    routers = moved(RandomSplit(num_experts=4, top_k=2, score="topk_softmax", train="router"), choices())
    assert routers and all(".router." in name for name in routers)
    experts = moved(RandomSplit(num_experts=4, top_k=2, train="experts"), choices())
    assert experts and all(".experts." in name for name in experts)
    with_head = moved(RandomSplit(num_experts=4, top_k=2, score="topk_softmax", train="router"), images())
    assert {name for name in with_head if ".router." not in name} == {"head.weight", "head.bias"}


def test_a_part_that_the_model_has_not_is_not_applicable() -> None:
    setup = choices()
    with pytest.raises(NotApplicable, match="train: router"):
        NeuronPruning(train="router").prepare(setup.model, setup.context)
