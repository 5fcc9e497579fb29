"""All forms of a routed product are the same sum."""

import pytest
import torch
from torch import Tensor

from sparsebench.models.dynamic.linear import products
from sparsebench.models.dynamic.linear.products import plan, routed_bias, routed_linear

# Shapes: T tokens, I inputs, O outputs, E experts, K chosen experts.


def case(tokens: int, inputs: int = 5, outputs: int = 7, experts: int = 4, top_k: int = 2) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(tokens)
    x_TI = torch.randn(tokens, inputs, generator=generator, dtype=torch.float64)
    index_TK = torch.rand(tokens, experts, generator=generator).topk(top_k, dim=-1).indices
    weight_TK = torch.rand(tokens, top_k, generator=generator, dtype=torch.float64)
    bank_EOI = torch.randn(experts, outputs, inputs, generator=generator, dtype=torch.float64)
    return x_TI, index_TK, weight_TK, bank_EOI


def reference(x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, bank_EOI: Tensor) -> Tensor:
    """Every token through each of its experts, one by one."""
    rows = []
    for token, x_I in enumerate(x_TI):
        row_O = torch.zeros(bank_EOI.shape[1], dtype=x_TI.dtype)
        for expert, weight in zip(index_TK[token], weight_TK[token], strict=True):
            row_O = row_O + weight * (bank_EOI[expert] @ x_I)
        rows.append(row_O)
    return torch.stack(rows)


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 7), (7, 5)])
@pytest.mark.parametrize("top_k", [1, 2, 4])
@pytest.mark.parametrize("tokens", [1, 2, 33])
def test_forms_agree_with_the_sum(tokens: int, top_k: int, inputs: int, outputs: int) -> None:
    """With a gradient tokens are sorted, without one a few pairs go one by one."""
    x, index, weight, bank = case(tokens, inputs, outputs, top_k=top_k)
    expected = reference(x, index, weight, bank)
    torch.testing.assert_close(routed_linear(x, index, weight, bank.requires_grad_()).detach(), expected)
    with torch.no_grad():
        torch.testing.assert_close(routed_linear(x, index, weight, bank), expected)
        torch.testing.assert_close(products._sorted(x, index, weight, bank.unbind()), expected)
        torch.testing.assert_close(products._into_scratch(x, index, weight, bank.unbind()), expected)
        torch.testing.assert_close(products._one_by_one(x, index, weight, bank.unbind()), expected)


def test_the_gradient_is_that_of_the_sum() -> None:
    x, index, weight, bank = case(6)
    leaves = [tensor.requires_grad_() for tensor in (x, weight, bank)]
    upstream = torch.randn(6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad(routed_linear(x, index, weight, bank), leaves, upstream)
    expected = torch.autograd.grad(reference(x, index, weight, bank), leaves, upstream)
    torch.testing.assert_close(found, expected)


def test_there_is_a_second_derivative() -> None:
    """GraSP takes one."""
    x, index, weight, bank = case(5)
    bank.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda w: routed_linear(x, index, weight, w).square(), (bank,))


def test_no_token_and_an_expert_without_tokens() -> None:
    x, index, weight, bank = case(4)
    bank.requires_grad_()
    assert routed_linear(x[:0], index[:0], weight[:0], bank).shape == (0, 7)
    with torch.no_grad():
        assert routed_linear(x[:0], index[:0], weight[:0], bank).shape == (0, 7)
    lonely = torch.zeros_like(index)
    lonely[:, 1] = 3
    routed_linear(x, lonely, weight, bank).sum().backward()
    assert bank.grad is not None
    assert not bank.grad[1:3].any()
    assert bank.grad[0].any()


def test_the_plan_loses_no_pair() -> None:
    """Dispatch is without capacity."""
    _, index, _, _ = case(40)
    pairs = plan(index, 4)
    assert sum(pairs.counts) == index.numel()
    assert pairs.order.sort().values.tolist() == list(range(index.numel()))
    assert pairs.token.bincount().tolist() == [2] * 40


def test_shapes_on_the_meta_device() -> None:
    x, index, weight, bank = (tensor.to("meta") for tensor in case(33))
    assert routed_linear(x, index, weight, bank).shape == (33, 7)


def test_bias_of_the_chosen() -> None:
    _, index, weight, _ = case(9)
    bias = torch.randn(4, 7, dtype=torch.float64)
    expected = (weight.unsqueeze(-1) * bias[index]).sum(1)
    torch.testing.assert_close(routed_bias(index, weight, bias), expected)
