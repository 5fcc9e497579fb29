"""The balance loss of stock mixtures against transformers' own of one process."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.loss_scale import scaled_losses
from sparsebench.models.moe.hf_trainer.stock_balance import StockBalance

STOCK = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe")
Build = Callable[[str], Any]


def stock(build: Build, family: str) -> Any:
    model = build(family).train()
    model.set_experts_implementation("eager")  # the default needs rows of 16 bytes
    return model


def batch(model: Any, example: Callable[..., Tensor], padded: bool = True) -> dict[str, Tensor]:
    tokens = example(model)
    mask = torch.ones_like(tokens)
    if padded:
        mask[0, 4:] = 0
    return {"input_ids": tokens, "attention_mask": mask}


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", STOCK)
def test_it_is_that_of_transformers(build: Build, example: Callable[..., Tensor], family: str, padded: bool) -> None:
    """Value, and the gradient of all parameters, of a loss that is made of the logits and knows nothing of it."""
    model = stock(build, family)
    given = batch(model, example, padded)
    out = model(**given, output_router_logits=True)
    expected = gradients(model, out.logits.square().mean() + 0.3 * out.aux_loss)
    hooks = [list(module._forward_hooks) for module in model.modules()]  # of transformers, which keep router logits
    watch = StockBalance(model, 0.3)
    assert watch.value() is None
    logits = model(**given).logits
    assert torch.equal(logits, out.logits)
    found = gradients(model, logits.square().mean())
    value = watch.value()
    assert value is not None and float(value) == pytest.approx(0.3 * out.aux_loss.item(), rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    watch.remove()
    assert [list(module._forward_hooks) for module in model.modules()] == hooks


def test_padding_alone_gives_0_and_who_looks_changes_nothing(build: Build, example: Callable[..., Tensor]) -> None:
    model = stock(build, "mixtral")
    given = batch(model, example)
    watch = StockBalance(model, 0.3)
    expected = gradients(model, model(**given).logits.square().mean())
    loss = model(**given).logits.square().mean()
    with torch.no_grad():
        model(input_ids=given["input_ids"])  # without a mask: other counts
    model.eval()(input_ids=given["input_ids"])
    found = gradients(model.train(), loss)
    for name, gradient in expected.items():
        assert torch.equal(found[name], gradient), name
    nothing = {"input_ids": given["input_ids"], "attention_mask": torch.zeros_like(given["attention_mask"])}
    model.model(**nothing)
    assert watch.value() == 0


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated")
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(build: Build, example: Callable[..., Tensor], reentrant: bool) -> None:
    model = stock(build, "mixtral")
    given = batch(model, example)
    StockBalance(model, 0.3)
    plain = gradients(model, model(**given).logits.square().mean())
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    for name, gradient in gradients(model, model(**given).logits.square().mean()).items():
        torch.testing.assert_close(gradient, plain[name], msg=name)
    both = model(**given).logits.square().mean() + model(**given).logits.square().mean()
    if reentrant:
        with pytest.raises(ModelError, match="of two forward passes before a backward pass"):
            both.backward()
        return
    with scaled_losses(0.5):
        for name, gradient in gradients(model, both / 2).items():
            torch.testing.assert_close(gradient, plain[name], msg=name)


def test_a_model_without_experts_is_refused(build: Build) -> None:
    with pytest.raises(ModelError, match="LlamaForCausalLM has no routed experts to balance"):
        StockBalance(build("llama"), 0.1)
