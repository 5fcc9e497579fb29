"""The function against the formula, its derivatives against finite differences."""

import pytest
import torch
from torch import Tensor

from sparsebench.models.adapters.kinds.low_rank import LowRankLinear, Span

SPANS: dict[str, tuple[Span, ...]] = {"all": ((0, 5),), "some": ((1, 5),), "two": ((0, 2), (3, 5))}


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def arguments(spans: tuple[Span, ...], bias: bool) -> tuple[Tensor, ...]:
    """x (2, 3, 4), W (5, 4), the bias or nothing, A of rank 2 for each span, and the B."""
    ups = [draw(stop - start, 2, seed=10 + start) for start, stop in spans]
    given = [draw(2, 3, 4, seed=0), draw(5, 4, seed=1)]
    if bias:
        given.append(draw(5, seed=2))
    return (*given, draw(2 * len(spans), 4, seed=3), *ups)


def call(spans: tuple[Span, ...], bias: bool, *tensors: Tensor) -> tuple[Tensor, Tensor]:
    x, weight, *rest = tensors
    its_bias = rest.pop(0) if bias else None
    return LowRankLinear.apply(x, weight, its_bias, 0.7, spans, *rest)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", SPANS)
def test_is_the_formula(name: str, bias: bool) -> None:
    spans = SPANS[name]
    tensors = arguments(spans, bias)
    y, low = call(spans, bias, *tensors)
    x, weight, down = tensors[0], tensors[1], tensors[2 + bias]
    expected = x @ weight.T
    if bias:
        expected = expected + tensors[2]
    for i, ((start, stop), up) in enumerate(zip(spans, tensors[3 + bias :], strict=True)):
        update = torch.zeros_like(expected)
        update[..., start:stop] = 0.7 * x @ down[2 * i : 2 * i + 2].T @ up.T
        expected = expected + update
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(low, down @ x.reshape(6, 4).T)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", SPANS)
def test_first_and_second_derivatives(name: str, bias: bool) -> None:
    spans = SPANS[name]
    tensors = arguments(spans, bias)
    assert torch.autograd.gradcheck(lambda *given: call(spans, bias, *given), tensors)
    assert torch.autograd.gradgradcheck(lambda *given: call(spans, bias, *given)[0], tensors)


def test_gradients_have_the_dtype_of_what_they_belong_to() -> None:
    spans = SPANS["two"]
    x, weight, down, *ups = (tensor.detach() for tensor in arguments(spans, False))
    low = [part.float().requires_grad_() for part in (down, *ups)]
    y, _ = LowRankLinear.apply(x.bfloat16(), weight.bfloat16(), None, 0.7, spans, *low)
    y.sum().backward()
    assert y.dtype == torch.bfloat16 and {part.grad.dtype for part in low} == {torch.float32}


def test_what_is_not_needed_is_not_computed() -> None:
    spans = SPANS["all"]
    x, weight, down, up = arguments(spans, False)
    y, low = LowRankLinear.apply(x.detach(), weight.detach(), None, 1.0, spans, down, up)
    y.sum().backward()
    assert x.grad is None and weight.grad is None and down.grad is not None and up.grad is not None
    assert low.requires_grad
