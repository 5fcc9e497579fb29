from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.counting import count_parameters
from sparsebench.models.moe import MoEConfig, MoEFFN, active_params, aux_loss, convert
from sparsebench.models.moe.routing.balance import balance_loss

Build = Callable[[str], nn.Module]


def layers(model: nn.Module) -> list[MoEFFN]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


def recorded(model: nn.Module, ids: Tensor) -> list[Tensor]:
    """FFN inputs of one forward pass."""
    inputs: list[Tensor] = []
    hooks = [layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for layer in layers(model)]
    model(ids)
    for hook in hooks:
        hook.remove()
    return [x.flatten(0, 1).detach() for x in inputs]


def test_aux_loss_is_the_sum_over_layers(build: Build, example: Callable) -> None:
    config = MoEConfig(balance="switch", balance_coef=0.5)
    model = convert(build("llama").double(), config).train()
    inputs = recorded(model, example(model))
    routings = [layer.router(x) for layer, x in zip(layers(model), inputs, strict=True)]
    expected = sum(balance_loss(config, routing) for routing in routings)
    torch.testing.assert_close(aux_loss(model), expected)
    assert expected > 1


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


def test_active_parameters(build: Build) -> None:
    model = build("llama")
    for layer in model.model.layers:
        layer.mlp.gate_proj, layer.mlp.up_proj = nn.Linear(32, 48, bias=False), nn.Linear(32, 48, bias=False)
        layer.mlp.down_proj = nn.Linear(48, 32, bias=False)
    dense = active_params(model)
    assert dense == count_parameters(model).total
    convert(model, MoEConfig(num_shared=2, top_k=2))
    router, ffn = 2 * 6 * 32, 2 * 3 * 32 * 48
    assert count_parameters(model).total == dense + router
    assert active_params(model) == dense + router - ffn // 2
