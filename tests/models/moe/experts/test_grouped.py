"""The design for accelerators, computed on the processor."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.moe.experts.grouped import fits_grouped, grouped_experts

Cases = Callable[..., Any]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def grouped(case: Any) -> Tensor:
    return grouped_experts(case.x, case.index, case.weight, case.weights)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("tokens", [1, 7, 100])
def test_output_and_gradients(case: Cases, dtype: torch.dtype, drop: bool, tokens: int) -> None:
    made = case(tokens, 32, 16, 5, 3, drop=drop).to(dtype)
    tolerance = TOLERANCE[dtype]
    direction = torch.randn(tokens, 32, generator=torch.Generator().manual_seed(5))
    grads = []
    for compute in (grouped, lambda leaves: leaves.oracle()):
        tensors = {name: getattr(made, name).clone().requires_grad_() for name in ("x", "weight", "gate_up", "down")}
        out = compute(made._replace(**tensors))
        out.backward(direction.to(out.dtype))
        grads.append([out.detach().double(), *(tensor.grad.double() for tensor in tensors.values())])
    for found, expected in zip(*grads, strict=True):
        bound = tolerance * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(found, expected, atol=bound, rtol=0)


def test_idle_experts_and_nobody_routed(case: Cases) -> None:
    made = case(7, 32, 16, 5, 2)
    one = made._replace(index=torch.full_like(made.index, 3))
    torch.testing.assert_close(grouped(one).double(), one.oracle(), atol=1e-5, rtol=1e-5)
    assert not grouped(made._replace(index=torch.full_like(made.index, 5))).any()


def test_what_fits(case: Cases) -> None:
    made = case(7, 32, 16, 5, 2)
    assert fits_grouped(made.x, made.weights)
    assert not fits_grouped(made.x, made.weights._replace(bias=torch.zeros(5, 32)))
    assert not fits_grouped(made.x.bfloat16(), made.weights)
    odd = case(7, 30, 16, 5, 2)
    assert not fits_grouped(odd.x, odd.weights)


def test_another_activation_and_no_gate(case: Cases) -> None:
    made = case(7, 32, 16, 5, 1)
    weights = made.weights._replace(gate_up=made.gate_up[:, :16], gated=False, activation=F.gelu)
    out = grouped_experts(made.x, made.index, made.weight, weights)
    for t, e in enumerate(made.index[:, 0].tolist()):
        expected = made.weight[t, 0] * (made.down[e] @ F.gelu(weights.gate_up[e] @ made.x[t]))
        torch.testing.assert_close(out[t], expected, atol=1e-5, rtol=1e-5)
