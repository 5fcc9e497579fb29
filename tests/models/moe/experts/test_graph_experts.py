"""SwiGLU experts as operators of a graph."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.experts import dispatch, graph_experts
from sparsebench.models.moe.experts.dispatch import run_experts
from sparsebench.models.moe.experts.graph_experts import swiglu_experts, trained_swiglu_experts

Cases = Callable[..., Any]
SHAPES = [(1, 16, 12, 4, 2), (2, 33, 17, 5, 1), (40, 16, 12, 4, 3)]
DTYPES = [torch.float32, torch.bfloat16, torch.float64]
NAMES = ("x", "weight", "gate_up", "down")


def leaves(made: Any) -> Any:
    return made._replace(**{name: getattr(made, name).clone().requires_grad_() for name in NAMES})


def gradients(made: Any, out: Tensor) -> list[Tensor]:
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(5)).to(out.dtype))
    return [getattr(made, name).grad for name in NAMES]


@pytest.fixture(params=["kernels", "torch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the C++ kernels, where they can be had, and without."""
    if request.param == "torch":
        monkeypatch.setattr(graph_experts, "native", lambda: None)
        monkeypatch.setattr(dispatch, "native", lambda: None)


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.usefixtures("kernels")
def test_to_the_last_bit_what_eager_code_computes(case: Cases, drop: bool, subtests: pytest.Subtests) -> None:
    """Outputs and gradients; with tokens that some or all of whose choices are no expert."""
    for shape in SHAPES:
        for dtype in DTYPES:
            with subtests.test(shape=shape, dtype=dtype):
                made = case(*shape, drop=drop).to(dtype)
                with torch.no_grad():
                    assert torch.equal(swiglu_experts(*made), made.run())
                ours, theirs = leaves(made), leaves(made)
                out = trained_swiglu_experts(*ours)[0]
                expected = run_experts(theirs.x, theirs.index, theirs.weight, theirs.weights)
                assert torch.equal(out, expected)
                for found, wanted in zip(gradients(ours, out), gradients(theirs, expected), strict=True):
                    assert torch.equal(found, wanted)


@pytest.mark.usefixtures("kernels")
def test_narrow_weights_get_narrow_gradients(case: Cases) -> None:
    made = case(40, 16, 12, 4, 3).to(torch.bfloat16)
    made = leaves(made._replace(weight=made.weight.bfloat16()))
    out = trained_swiglu_experts(*made)[0]
    out.sum().backward()
    assert made.weight.grad.dtype == torch.bfloat16 and made.weight.grad.any()


def test_gradients_that_nobody_wants_are_not_made(case: Cases) -> None:
    made = case(20, 16, 12, 4, 2)
    made.x.requires_grad_()
    trained_swiglu_experts(*made)[0].sum().backward()
    expected = leaves(case(20, 16, 12, 4, 2))
    expected.oracle().sum().backward()
    torch.testing.assert_close(made.x.grad, expected.x.grad)
    assert made.gate_up.grad is None and made.down.grad is None and made.weight.grad is None


def test_operators_are_what_torch_asks_of_them(case: Cases) -> None:
    """Schema, fake implementation, autograd, and under AOT dispatch with open shapes."""
    made = case(7, 16, 12, 4, 2, drop=True)
    torch.library.opcheck(swiglu_experts, tuple(made))
    torch.library.opcheck(trained_swiglu_experts, tuple(leaves(made)))


def test_types_that_pointers_cannot_read_are_refused(case: Cases) -> None:
    made = case(7, 16, 12, 4, 2)
    for wrong in (
        made._replace(x=made.x.double()),
        made._replace(down=made.down.bfloat16()),
        made._replace(index=made.index.int()),
    ):
        for operator in (swiglu_experts, trained_swiglu_experts):
            with pytest.raises(ModelError, match=r"of one type and indices of int64 are needed, not torch\."):
                operator(*wrong)


def test_views_are_read_in_their_order(case: Cases) -> None:
    made = case(20, 16, 12, 4, 2)
    turned = made._replace(
        x=made.x.T.contiguous().T, down=made.down.transpose(1, 2).contiguous().transpose(1, 2), index=made.index.clone()
    )
    assert torch.equal(swiglu_experts(*turned), made.run())
