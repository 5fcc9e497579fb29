"""The backward pass of our own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.experts.dispatch import run_experts
from sparsebench.models.moe.experts.eager import loop_experts
from sparsebench.models.moe.experts.native import Native
from sparsebench.models.moe.experts.operators import Operators
from sparsebench.models.moe.experts.training import TrainedExperts

Cases = Callable[..., Any]
NAMES = ("x", "weight", "gate_up", "down")


def leaves(case: Any) -> Any:
    """The same case, whose numbers want gradients."""
    tensors = {name: getattr(case, name).clone().requires_grad_() for name in NAMES}
    return case._replace(**tensors)


def direction(out: Tensor) -> Tensor:
    return torch.randn(out.shape, generator=torch.Generator().manual_seed(5)).to(out.dtype)


def gradients(case: Any, compute: Callable[..., Tensor]) -> dict[str, Tensor]:
    """Gradients of <direction, compute(case)>, in float64."""
    made = leaves(case)
    out = compute(made)
    out.backward(direction(out))
    return {name: getattr(made, name).grad.double() for name in NAMES}


def reference(case: Any) -> dict[str, Tensor]:
    """By autograd through the plain loop, in float64."""
    return gradients(case.to(torch.float64), lambda made: loop_experts(made.x, made.index, made.weight, made.weights))


def trained(operators: Operators, accumulate: bool = False) -> Callable[..., Tensor]:
    return lambda made: TrainedExperts.apply(*made, operators, accumulate, made.x.dtype)


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    for name in NAMES:
        bound = tolerance * max(1.0, expected[name].abs().max().item())
        torch.testing.assert_close(found[name], expected[name], atol=bound, rtol=0, msg=lambda text, n=name: n + text)


@pytest.mark.parametrize("drop", [False, True])
def test_gradcheck(case: Cases, drop: bool) -> None:
    made = case(5, 4, 3, 3, 2, drop=drop).to(torch.float64)

    def compute(x: Tensor, weight: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        return TrainedExperts.apply(x, made.index, weight, gate_up, down, Operators(), False, x.dtype)  # pyright: ignore

    assert torch.autograd.gradcheck(compute, tuple(getattr(leaves(made), name) for name in NAMES))


@pytest.mark.parametrize(
    ("tokens", "width", "hidden", "experts", "top_k"),
    [(1, 33, 17, 4, 2), (3, 31, 1, 2, 2), (40, 172, 31, 8, 3), (200, 16, 100, 3, 1), (2000, 20, 12, 4, 2)],
)
@pytest.mark.parametrize("drop", [False, True])
def test_native(
    case: Cases, library: Native, tokens: int, width: int, hidden: int, experts: int, top_k: int, drop: bool
) -> None:
    made = case(tokens, width, hidden, experts, top_k, drop=drop)
    expected = reference(made)
    assert_close(gradients(made, trained(library)), expected, 1e-5)
    assert_close(gradients(made, trained(Operators())), expected, 1e-5)
    assert_close(gradients(made, lambda made: made.run()), expected, 1e-5)


@pytest.mark.parametrize("tokens", [2, 40])
def test_bfloat16(case: Cases, tokens: int) -> None:
    made = case(tokens, 64, 48, 4, 2, drop=True).to(torch.bfloat16)
    assert_close(gradients(made, lambda made: made.run()), reference(made), 3e-2)


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("native", [False, True], ids=["operators", "kernels"])
def test_autocast(case: Cases, library: Native, native: bool, drop: bool) -> None:
    """Products in bfloat16, gradients in the type of what they belong to; as near to float64 as the plain loop is."""
    made = case(200, 64, 48, 4, 2, drop=drop)
    operators = Operators()
    if native:
        operators = library

    def ours(made: Any) -> Tensor:
        return TrainedExperts.apply(*made, operators, False, torch.bfloat16)

    def loop(made: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loop_experts(made.x, made.index, made.weight, made.weights)

    expected = reference(made)
    found = gradients(made, ours)
    assert_close(found, expected, 3e-2)
    for name, gradient in gradients(made, loop).items():
        error = (found[name] - expected[name]).norm()
        assert 0 < error < 1.5 * (gradient - expected[name]).norm()
    trained = leaves(made)
    ours(trained).sum().backward()
    assert {getattr(trained, name).grad.dtype for name in NAMES} == {torch.float32}


def test_nobody_routed(case: Cases) -> None:
    made = case(6, 20, 12, 3, 2)
    made = made._replace(index=torch.full_like(made.index, 3))
    assert not any(gradient.any() for gradient in gradients(made, lambda made: made.run()).values())


def test_an_idle_expert_gets_zeros(case: Cases) -> None:
    made = leaves(case(6, 20, 12, 3, 2))
    made = made._replace(index=torch.tensor([[0, 2]] * 6))
    made.run().sum().backward()
    for weight in (made.gate_up, made.down):
        assert not weight.grad[1].any() and weight.grad[0].any() and weight.grad[2].any()


@pytest.mark.parametrize("wanted", NAMES)
def test_one_gradient_alone(case: Cases, wanted: str) -> None:
    made = case(6, 20, 12, 3, 2)
    expected = reference(made)[wanted]
    leaf = getattr(made, wanted).clone().requires_grad_()
    out = made._replace(**{wanted: leaf}).run()
    out.backward(direction(out))
    torch.testing.assert_close(leaf.grad.double(), expected, atol=1e-5, rtol=1e-5)


def test_frozen_experts_cost_no_gradient(case: Cases) -> None:
    made = leaves(case(6, 20, 12, 3, 2))
    for weight in (made.gate_up, made.down):
        weight.requires_grad_(False)
    made.run().sum().backward()
    assert made.gate_up.grad is None and made.down.grad is None
    assert made.x.grad is not None and made.weight.grad is not None


def test_routing_weights_keep_their_precision(case: Cases) -> None:
    made = case(6, 20, 12, 3, 2).to(torch.bfloat16)
    weight = made.weight.double().requires_grad_()
    made._replace(weight=weight).run().sum().backward()
    assert weight.grad is not None and weight.grad.dtype == torch.float64


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_accumulate(case: Cases, dtype: torch.dtype, autocast: bool) -> None:
    """Two passes added in place give what autograd adds up, in the memory that is there."""
    first, second = (case(9, 20, 12, 3, 2, seed=seed).to(dtype) for seed in (1, 2))
    grads = []
    for accumulate in (False, True):
        made = leaves(first)
        for inputs in (first, second):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                out = run_experts(inputs.x, inputs.index, inputs.weight, made.weights, accumulate=accumulate)
            memory = None if made.down.grad is None else made.down.grad.data_ptr()
            out.backward(direction(out))
            assert memory in (None, made.down.grad.data_ptr())  # pyright: ignore[reportOptionalMemberAccess]
        grads.append((made.gate_up.grad, made.down.grad))
    tolerance = 1e-6 if dtype is torch.float32 else 3e-2
    torch.testing.assert_close(grads[0], grads[1], atol=tolerance, rtol=tolerance)


def test_without_gradients(case: Cases) -> None:
    made = leaves(case(6, 20, 12, 3, 2))
    with torch.no_grad():
        assert not made.run().requires_grad
    torch.testing.assert_close(made.run().detach().double(), made.oracle().detach(), atol=1e-5, rtol=1e-5)


def test_no_second_derivative(case: Cases) -> None:
    made = leaves(case(6, 20, 12, 3, 2))
    with pytest.raises(ModelError, match="no second derivative"):
        torch.autograd.grad(made.run().sum(), made.x, create_graph=True)


def test_several_layers_share_scratch_memory(case: Cases) -> None:
    """Each layer's backward pass finds its own numbers although the next layer used the same memory."""
    made = case(30, 20, 12, 3, 2)

    def twice(inputs: Any) -> Tensor:
        return inputs._replace(x=inputs.run()).run()

    def slow(inputs: Any) -> Tensor:
        once = loop_experts(inputs.x, inputs.index, inputs.weight, inputs.weights)
        return loop_experts(once, inputs.index, inputs.weight, inputs.weights)

    assert_close(gradients(made, twice), gradients(made.to(torch.float64), slow), 1e-5)
