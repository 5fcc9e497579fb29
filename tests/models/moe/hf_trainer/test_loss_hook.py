"""The balance loss of a model that a loop of one's own trains: with whatever loss, wrapped or not."""

from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, aux_loss, convert
from sparsebench.models.moe.hf_trainer.loss_hook import add_balance_loss

Build = Callable[[str], Any]
Example = Callable[..., Tensor]
CONFIG = MoEConfig(num_experts=5, balance="switch", balance_coef=0.5)


def router_gradient(model: Any, loss: Tensor, name: str) -> Tensor:
    model.zero_grad()
    loss.backward()
    return model.get_submodule(name).weight.grad.clone()


def test_a_converted_model_has_its_balance_loss_in_training_only(build: Build, example: Example) -> None:
    """The loss that it returns stays that of the task."""
    model = convert(build("llama"), CONFIG).train()
    tokens = example(model)
    name = "model.layers.1.mlp.router"
    plain = model(input_ids=tokens, labels=tokens).loss
    task = router_gradient(model, plain, name)
    wanted = router_gradient(model, model(input_ids=tokens, labels=tokens).loss + aux_loss(model), name)
    handle = add_balance_loss(model)
    loss = model(input_ids=tokens, labels=tokens).loss
    assert torch.equal(loss, plain)
    torch.testing.assert_close(router_gradient(model, loss, name), wanted)
    value = handle.value()
    assert value is not None and value > 0 and torch.equal(value, aux_loss(model))
    loss = model.eval()(input_ids=tokens, labels=tokens).loss
    assert torch.equal(router_gradient(model, loss, name), task)
    handle.remove()
    loss = model.train()(input_ids=tokens, labels=tokens).loss
    assert torch.equal(router_gradient(model, loss, name), task)


def test_a_stock_mixture_is_switched_on_and_off(build: Build, example: Example) -> None:
    model = build("mixtral").train()
    tokens = example(model)
    plain = model(input_ids=tokens, labels=tokens).loss
    theirs = model(input_ids=tokens, output_router_logits=True).aux_loss
    for coefficient, chosen in ((0.5, 0.5), (None, 0.001)):
        handle = add_balance_loss(model, coefficient)
        assert torch.equal(model(input_ids=tokens, labels=tokens).loss, plain)
        torch.testing.assert_close(handle.value(), (chosen * theirs).detach())
        handle.remove()
        assert model.config.router_aux_loss_coef == model.router_aux_loss_coef == 0.001


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers
@pytest.mark.parametrize("kind", ["converted", "stock"])
def test_models_that_are_wrapped_are_balanced_within(build: Build, example: Example, kind: str) -> None:
    """By PEFT, with routers that train along; and by `torch.compile`."""
    model = convert(build("llama"), CONFIG) if kind == "converted" else build("mixtral")
    name = "model.layers.0.mlp." + ("router" if kind == "converted" else "gate")
    tokens = example(model)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"])).train()
    model.get_submodule(name).requires_grad_(True)
    task = router_gradient(model, wrapped(input_ids=tokens).logits.square().mean(), name)
    handle = add_balance_loss(torch.compile(wrapped, backend="eager"), None if kind == "converted" else 0.5)
    found = router_gradient(model, wrapped(input_ids=tokens).logits.square().mean(), name)
    assert (found - task).norm() > 1e-4 and handle.value() is not None
    handle.remove()


def test_models_without_one_are_refused(build: Build) -> None:
    for model in (build("llama"), build("bert"), convert(build("llama"), MoEConfig())):
        with pytest.raises(ModelError, match="has no balance loss to add"):
            add_balance_loss(model)
    with pytest.raises(ModelError, match="balance_coef of its MoEConfig"):
        add_balance_loss(convert(build("llama"), CONFIG), 0.1)
