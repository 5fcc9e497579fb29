"""A balance loss that comes with the backward pass of its layer, whatever loss is made of the outputs."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.loss_scale import scaled_losses
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, aux_loss, convert
from sparsebench.models.moe.routing.attached_loss import attach_balance, attached, attached_first

Build = Callable[[str], Any]
CONFIGS = {
    "cv2, noise": MoEConfig(num_experts=5, noise="shazeer", balance="cv2", balance_coef=0.5),
    "switch, z, DenseMixer": MoEConfig(
        num_experts=5, balance="switch", balance_coef=0.5, z_coef=0.1, densemixer=True, score="softmax_topk"
    ),
    "attention": MoEConfig(
        num_experts=5, attn=AttnMoEConfig(num_experts=4, top_k=2, balance="switch", balance_coef=0.5)
    ),
}


def batch() -> dict[str, Tensor]:
    ids = torch.randint(3, 64, (2, 9), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": (torch.arange(9) < torch.tensor([[9], [5]])).long()}


def own_loss(model: Any) -> Tensor:
    """A loss that knows nothing of the model's own."""
    given = batch()
    torch.manual_seed(1)  # the noise of the routers
    logits = model(**given).logits[:, :-1].flatten(0, 1)
    labels = given["input_ids"].masked_fill(given["attention_mask"] == 0, -100)[:, 1:].flatten()
    return F.cross_entropy(logits, labels, label_smoothing=0.1)


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_gradient_is_that_of_the_sum(name: str, build: Build) -> None:
    """With padding; for any factor, and without a change of what the model puts out."""
    model = convert(build("llama").double(), CONFIGS[name]).train()
    loss = own_loss(model)
    whole = gradients(model, (loss + aux_loss(model)) / 3)
    task = gradients(model, own_loss(model) / 3)
    detach = attach_balance(model)
    again = own_loss(model)
    assert torch.equal(again, loss) and not aux_loss(model).requires_grad and aux_loss(model) > 0
    with scaled_losses(1 / 3):
        found = gradients(model, (again + aux_loss(model)) / 3)
    for key, gradient in whole.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-9, atol=1e-12, msg=key)
    router = next(key for key in whole if "router" in key)
    assert (whole[router] - task[router]).norm() > 1e-4
    detach()
    assert all(not module._forward_hooks for module in model.modules())
    assert not any(getattr(module, "attached", False) for module in model.modules())
    assert aux_loss(model.train()) is not None and gradients(model, own_loss(model) / 3).keys() == task.keys()
    for key, gradient in gradients(model, own_loss(model) / 3).items():
        assert torch.equal(gradient, task[key]), key


def test_nothing_happens_in_evaluation_and_copies_stay_attached(build: Build) -> None:
    model = convert(build("llama"), CONFIGS["cv2, noise"]).train()
    attach_balance(model)
    own_loss(model).backward()
    twin = copy.deepcopy(model)
    assert gradients(twin, 0 * own_loss(twin))[ROUTER].any()
    found = gradients(model.eval(), 0 * own_loss(model))
    assert not any(gradient.any() for gradient in found.values())


ROUTER = "model.layers.0.mlp.router.weight"


def test_a_frozen_router_is_left_alone_but_its_input_is_not(build: Build) -> None:
    model = convert(build("llama"), MoEConfig(num_experts=5, balance="switch", balance_coef=0.5)).train()
    attach_balance(model)
    for layer in model.model.layers:
        layer.mlp.router.requires_grad_(False)
    found = gradients(model, 0 * own_loss(model))
    assert ROUTER not in found and found["model.embed_tokens.weight"].any()
    model.requires_grad_(False)
    x = torch.ones(2, 3)
    assert attached(x, aux_loss(model)) is x


def test_the_first_of_several_outputs_brings_it_along() -> None:
    weight = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert attached(weight, weight.sum()) is weight
    first, second = attached_first((torch.zeros(3), "kept"), (3 * weight).sum())
    assert second == "kept" and first.grad_fn is not None
    with scaled_losses(0.5):
        first.sum().backward()
    assert weight.grad.tolist() == [1.5, 1.5]
