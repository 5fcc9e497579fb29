"""A derivative without one of its own says so."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.moe.routing.once_differentiable import once_differentiable


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad


def test_there_is_one_derivative_and_no_second() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    given = torch.tensor(1.0, requires_grad=True)
    (slope,) = torch.autograd.grad(Square.apply(x), x, given, create_graph=True)
    assert slope == 6
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.backward()
