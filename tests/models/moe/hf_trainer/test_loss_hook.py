"""The balance loss inside the loss of a model, for a loop of one's own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, aux_loss, convert
from sparsebench.models.moe.hf_trainer.loss_hook import add_balance_loss

Build = Callable[[str], Any]
Example = Callable[..., Tensor]
CONFIG = MoEConfig(num_experts=5, balance="switch")


def test_a_converted_model_has_its_balance_loss_in_training_only(build: Build, example: Example) -> None:
    model = convert(build("llama"), CONFIG)
    tokens = example(model)
    model.train()
    plain = model(input_ids=tokens, labels=tokens).loss
    wanted = plain + aux_loss(model)
    handle = add_balance_loss(model)
    found = model(input_ids=tokens, labels=tokens).loss
    assert torch.equal(found, wanted)
    with torch.no_grad():
        assert torch.equal(model(input_ids=tokens, labels=tokens).loss, plain)
    assert torch.equal(model.eval()(input_ids=tokens, labels=tokens).loss, plain)
    model.eval()(input_ids=tokens)  # no labels, no complaint
    handle.remove()
    assert torch.equal(model.train()(input_ids=tokens, labels=tokens).loss, plain)


def test_a_part_of_a_step_has_a_part_of_the_balance_loss(build: Build, example: Example) -> None:
    model = convert(build("llama"), CONFIG).train()
    tokens = example(model)
    label_tokens = tokens[:, 1:].numel()
    whole = model(input_ids=tokens, labels=tokens).loss
    balance = aux_loss(model)
    add_balance_loss(model)
    third = model(input_ids=tokens, labels=tokens, num_items_in_batch=torch.tensor(3 * label_tokens)).loss
    torch.testing.assert_close(third, (whole + balance) / 3)


def test_a_stock_mixture_is_switched_on_and_off(build: Build, example: Example) -> None:
    model = build("mixtral").train()
    tokens = example(model)
    plain = model(input_ids=tokens, labels=tokens).loss
    theirs = model(input_ids=tokens, output_router_logits=True).aux_loss
    handle = add_balance_loss(model, 0.5)
    torch.testing.assert_close(model(input_ids=tokens, labels=tokens).loss, plain + 0.5 * theirs)
    handle.remove()
    assert torch.equal(model(input_ids=tokens, labels=tokens).loss, plain)
    assert model.config.router_aux_loss_coef == model.router_aux_loss_coef == 0.001
    add_balance_loss(model)
    torch.testing.assert_close(model(input_ids=tokens, labels=tokens).loss, plain + 0.001 * theirs)


def test_no_loss_in_training_is_an_error(build: Build, example: Example) -> None:
    for model in (convert(build("llama"), CONFIG).train(), build("mixtral").train()):
        tokens = example(model)
        add_balance_loss(model)
        with pytest.raises(ModelError, match="returned no loss in training"):
            model(input_ids=tokens)
        with pytest.raises(ModelError, match="keep return_dict=True"):
            model(input_ids=tokens, labels=tokens, return_dict=False)


def test_models_without_one_are_refused(build: Build) -> None:
    for model in (build("llama"), build("bert"), convert(build("llama"), MoEConfig())):
        with pytest.raises(ModelError, match="has no balance loss to add"):
            add_balance_loss(model)
    with pytest.raises(ModelError, match="balance_coef of its MoEConfig"):
        add_balance_loss(convert(build("llama"), CONFIG), 0.1)
