"""Reentrant checkpointing: an attached balance loss keeps its gradient, `aux_loss` is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, aux_loss, convert
from sparsebench.models.moe.hf_trainer.loss_hook import add_balance_loss
from sparsebench.models.moe.routing.recomputation import recomputing, refuse_reentrant

CONFIGS = {
    "ffn": MoEConfig(balance="cv2", balance_coef=0.5, capacity=1.0),
    "z, DenseMixer": MoEConfig(z_coef=0.5, densemixer=True, balance="switch"),
    "attention": MoEConfig(attn=AttnMoEConfig(num_experts=4, top_k=2, balance="switch", balance_coef=0.5)),
}


def batch() -> dict[str, Tensor]:
    ids = torch.randint(3, 64, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(9) >= torch.tensor([0, 4]).unsqueeze(1)).long()
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def gradients(model: Any) -> dict[str, Tensor]:
    model.train().zero_grad()
    loss = model(**batch()).loss + aux_loss(model)
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if "noise" not in name}


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated")
@pytest.mark.parametrize("name", CONFIGS)
def test_the_gradient_is_right_or_refused_in_transformers(name: str, build: Callable[[str], nn.Module]) -> None:
    model: Any = convert(build("llama").double(), CONFIGS[name])
    plain = gradients(model)
    for settings in (None, {"use_reentrant": False}):
        model.gradient_checkpointing_enable(settings)
        assert model.model.layers[0].gradient_checkpointing
        for parameter, gradient in gradients(model).items():
            torch.testing.assert_close(gradient, plain[parameter], msg=parameter)
    model.gradient_checkpointing_enable({"use_reentrant": True})
    model.enable_input_require_grads()
    with pytest.raises(ModelError, match="use_reentrant=False"):
        gradients(model)
    add_balance_loss(model)
    for parameter, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, plain[parameter], msg=parameter)


@pytest.mark.parametrize("part", ["block", "mixture"])
def test_the_gradient_is_right_or_refused_in_torch(part: str, build: Callable[[str], nn.Module]) -> None:
    model: Any = convert(build("llama").double(), MoEConfig(balance="switch", balance_coef=0.5)).train()
    layer = model.model.layers[0]
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    positions = torch.arange(5).unsqueeze(0)
    rope = model.model.rotary_emb(x, positions)
    call = layer.mlp if part == "mixture" else lambda x: layer(x, position_embeddings=rope)

    def router_gradient(**settings: Any) -> Tensor:
        model.zero_grad()
        out = checkpoint(call, x, **settings) if settings else call(x)
        (out.square().sum() + aux_loss(layer)).backward()
        return layer.mlp.router.weight.grad.clone()

    plain = router_gradient()
    torch.testing.assert_close(router_gradient(use_reentrant=False), plain)
    with pytest.raises(ModelError, match="use_reentrant=False"):
        router_gradient(use_reentrant=True)
    handle = add_balance_loss(layer)
    torch.testing.assert_close(router_gradient(use_reentrant=True), plain)
    handle.remove()
    layer.mlp.config = MoEConfig()
    assert router_gradient(use_reentrant=True).any(), "without a balance loss nothing is lost"


def test_without_gradients_nothing_is_refused() -> None:
    """Nor is anything with them, inside a reentrant pass too: then there is a graph."""
    with torch.no_grad():
        refuse_reentrant()
    refuse_reentrant()
    checkpoint(torch.enable_grad()(lambda x: refuse_reentrant()), torch.ones(2, requires_grad=True), use_reentrant=True)


def test_recomputing_is_a_forward_pass_inside_a_backward_pass() -> None:
    seen: list[bool] = []

    def work(x: Tensor) -> Tensor:
        seen.append(recomputing())
        return x.square()

    checkpoint(work, torch.ones(2, requires_grad=True), use_reentrant=False).sum().backward()
    assert seen == [False, True]
