"""From a dense model to learnt experts: what trains, what the loss falls by, what comes out, what is refused."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.restoration import to_dense
from sparsebench.models.moe.conversion.transport.alignment import OpenExperts, open_experts
from sparsebench.models.moe.layer import MoEFFN

Build = Callable[[str], nn.Module]


def config(**fields: Any) -> MoEConfig:
    common: dict[str, Any] = {
        "split": "transport",
        "importance": "activation",
        "clusters": "tokens",
        "router_init": "centroids",
    }
    return MoEConfig(**({"num_experts": 5, "top_k": 2, "score": "none", **common} | fields))


def opened(model: nn.Module, example: Callable, **fields: Any) -> OpenExperts:
    return open_experts(model, config(**fields), calibrate(model, [example(model)]))


def test_the_learnt_mixture_is_what_was_trained(build: Build, example: Callable) -> None:
    """Its output equals that of the layers, and the loss on the batch that trained it has fallen."""
    model = build("llama").requires_grad_(True)
    ids = example(model)

    def logits(model: nn.Module) -> Tensor:
        return model(input_ids=ids).logits

    dense = logits(model).detach()
    learning = opened(model, example, balance="switch")
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.rpartition(".")[2] for name in trainable} == {"affinity", "router"}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.05)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = learning.loss(logits)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[4:]) < losses[0]
    learnt = logits(model).detach()
    mixture = learning.close()
    torch.testing.assert_close(logits(mixture), learnt, atol=1e-5, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in mixture.parameters())
    torch.testing.assert_close(logits(to_dense(mixture)), dense)


def test_all_experts_on_give_the_dense_model(build: Build, example: Callable, run: Callable) -> None:
    model = build("bert")
    before = run(model, example(model))
    mixture = opened(model, example, top_k=5).close()
    torch.testing.assert_close(run(mixture, example(model)), before, atol=1e-5, rtol=1e-4)


def test_masks_become_experts_that_share_neurons_and_another_router_may_close(build: Build, example: Callable) -> None:
    model = build("llama")
    ids = example(model)
    seen = calibrate(model, [ids])
    learning = open_experts(model, config(num_experts=3, top_k=1), seen, held=0.6)
    learnt = model(input_ids=ids).logits.detach()
    assert [layer.sizes for layer in learning.layers.values()] == [(30, 30, 30)] * 2
    torch.testing.assert_close(learning.close()(input_ids=ids).logits, learnt, atol=1e-5, rtol=1e-4)
    again = open_experts(build("llama"), config(num_experts=3, top_k=1), seen, held=0.6)
    other = replace(again.config, router_init="regressed", score="topk_softmax", straight_through=True)
    layers = [layer for layer in again.close(other).modules() if isinstance(layer, MoEFFN)]
    assert [layer.experts.sizes for layer in layers] == [(30, 30, 30)] * 2
    assert all(layer.config == other for layer in layers)


def test_undo_leaves_the_model_as_it_was(build: Build, example: Callable) -> None:
    model = build("llama")
    before = copy.deepcopy(model.state_dict())
    opened(model, example).undo()
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)


def test_another_configuration_is_refused(build: Build, example: Callable) -> None:
    with pytest.raises(ModelError, match="num_shared=1"):
        opened(build("llama"), example, num_shared=1)
