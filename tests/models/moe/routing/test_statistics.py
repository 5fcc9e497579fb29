from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.moe import MoEConfig, MoEFFN, aux_loss, convert

Build = Callable[[str], nn.Module]


def layers(model: nn.Module) -> list[MoEFFN]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


@pytest.mark.parametrize(
    "fields", [{"balance": "cv2"}, {"balance": "switch", "z_coef": 0.1, "densemixer": True}, {"z_coef": 0.1}]
)
def test_aux_loss_trains_the_router_and_accumulates(fields: dict, build: Build, example: Callable) -> None:
    """Gradients of two micro-batches are the sum of the gradients of each."""
    model = convert(build("llama").double(), MoEConfig(score="softmax_topk", **fields)).train()
    weights = [layer.router.weight for layer in layers(model)]
    single = []
    for seed in (0, 1):
        model(example(model, seed))
        single.append(torch.autograd.grad(aux_loss(model), weights))
    for seed in (0, 1):
        model(example(model, seed))
        aux_loss(model).backward()
    for weight, first, second in zip(weights, *single, strict=True):
        assert weight.grad is not None and weight.grad.norm() > 0
        torch.testing.assert_close(weight.grad, first + second)


def test_aux_loss_without_gradients_or_training(build: Build, example: Callable) -> None:
    model = convert(build("llama"), MoEConfig(balance="switch"))
    model(example(model))
    assert float(aux_loss(model)) == 0
    with torch.no_grad():
        model.train()(example(model))
    loss = aux_loss(model)
    assert float(loss) > 0 and not loss.requires_grad
    model.eval()(example(model, 1))
    assert torch.equal(aux_loss(model), loss)
    assert float(aux_loss(build("llama"))) == 0
