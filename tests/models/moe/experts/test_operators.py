"""The C++ operators against PyTorch's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.experts.native import Native
from sparsebench.models.moe.experts.operators import Operators
from sparsebench.models.moe.routing.router import LinearRouter

TORCH = Operators()
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 2e-2}
RULES = [
    {"score": "topk_softmax"},
    {"score": "softmax_topk", "renorm": False},
    {"score": "none"},
    {"score": "sigmoid", "renorm": False},
    {"score": "sigmoid", "renorm": True},
]

Cases = Callable[..., Any]


def close(found: Any, expected: Any, dtype: torch.dtype) -> None:
    torch.testing.assert_close(found, expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@settings(deadline=None, max_examples=50)
@given(tokens=st.integers(0, 50), experts=st.integers(1, 16), drop=st.booleans(), data=st.data())
def test_plan(case: Cases, library: Native, tokens: int, experts: int, drop: bool, data: st.DataObject) -> None:
    index = case(tokens, 1, 1, experts, data.draw(st.integers(1, experts)), drop=drop, seed=tokens).index
    found, expected = library.plan(index, experts), TORCH.plan(index, experts)
    pairs = sum(expected.counts)
    assert found.counts == expected.counts
    assert torch.equal(found.order[:pairs], expected.order[:pairs])
    assert torch.equal(found.place, expected.place)


@pytest.mark.parametrize("hidden", [1, 31, 48])
def test_gate_and_the_way_back(case: Cases, library: Native, dtype: torch.dtype, hidden: int) -> None:
    made = case(30, 2 * hidden, 1, 4, 3, drop=True)
    plan = TORCH.plan(made.index, 4)
    pairs = sum(plan.counts)
    inward = 3 * made.x.repeat(3, 1)[:pairs].to(dtype)
    grad = inward.flip(0)[:, :hidden].contiguous()
    outs, backs = [], []
    for operators in (library, TORCH):
        out, hidden_again, grad_inward = torch.empty_like(grad), torch.empty_like(grad), torch.empty_like(inward)
        operators.gate(inward, plan.order, made.weight, out)
        grad_weight = operators.gate_backward(inward, plan.order, made.weight, grad, grad_inward, hidden_again)
        outs.append((out, hidden_again))
        backs.append((grad_inward, grad_weight / hidden))
        close(hidden_again, out, dtype)
    atol = 10 * TOLERANCE[dtype]  # values reach about 100
    torch.testing.assert_close((*outs[0], *backs[0]), (*outs[1], *backs[1]), atol=atol, rtol=TOLERANCE[dtype])


def test_gate_where_exp_overflows(library: Native) -> None:
    extreme = torch.tensor([-1e30, -200.0, -89.0, -88.0, -87.0, -1e-30, 0.0, 1e-30, 87.0, 88.0, 89.0, 200.0, 1e30])
    inward = torch.cat((extreme, torch.ones(13)))[None]
    found, expected = torch.empty(1, 13), torch.empty(1, 13)
    for operators, out in ((library, found), (TORCH, expected)):
        operators.gate(inward, torch.zeros(1, dtype=torch.int64), torch.ones(1, 1), out)
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("width", [1, 31, 64])
def test_gather_and_combine(case: Cases, library: Native, dtype: torch.dtype, width: int) -> None:
    made = case(30, width, 1, 4, 3, drop=True).to(dtype)
    plan = TORCH.plan(made.index, 4)
    rows = [made.x.new_empty(sum(plan.counts), width) for _ in range(2)]
    for operators, out in zip((library, TORCH), rows, strict=True):
        operators.gather(made.x, plan.order, 3, out)
    assert torch.equal(*rows)
    close(library.combine(rows[0], plan.place), TORCH.combine(rows[0], plan.place), dtype)


def router(settings: dict[str, Any], weight: Tensor, top_k: int) -> LinearRouter:
    made = LinearRouter(MoEConfig(num_experts=len(weight), top_k=top_k, scale=0.7, **settings), weight)
    return made.requires_grad_(False).eval()


def both(library: Native, made: LinearRouter, x: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """What the kernel chooses, and what PyTorch does."""
    found = library.route(x, made.weight, made.top_k, made._rule(), made.scale)
    for ours, public in zip(found, made(x, choice_only=True), strict=True):
        torch.testing.assert_close(ours, public, atol=0, rtol=0, equal_nan=True)
    routing = made(x)
    return found, (routing.index, routing.weight)


@pytest.mark.parametrize("settings", RULES, ids=lambda settings: "-".join(map(str, settings.values())))
def test_route(case: Cases, library: Native, dtype: torch.dtype, settings: dict, subtests: pytest.Subtests) -> None:
    for experts, top_k in [(1, 1), (7, 2), (16, 16)]:
        for tokens in [1, 2, 7, 50]:
            with subtests.test(experts=experts, top_k=top_k, tokens=tokens):
                made = case(tokens, 37, 1, experts, 1, seed=3).to(dtype)
                drawn = torch.randn(experts, 37, generator=torch.Generator().manual_seed(1))
                weight = made.down.new_tensor(drawn.tolist())
                (index, found), (expected_index, expected) = both(library, router(settings, weight, top_k), made.x)
                assert torch.equal(index, expected_index)
                close(found, expected, torch.float32)


@pytest.mark.parametrize("settings", RULES, ids=lambda settings: "-".join(map(str, settings.values())))
def test_ties_go_to_the_lower_index(case: Cases, library: Native, settings: dict) -> None:
    x = case(20, 37, 1, 1, 1).x
    weight = torch.ones(5, 37) / 37
    (index, found), (_, expected) = both(library, router(settings, weight, 3), x)
    assert index.tolist() == [[0, 1, 2]] * 20
    close(found, expected, torch.float32)


@pytest.mark.parametrize("settings", RULES, ids=lambda settings: "-".join(map(str, settings.values())))
def test_logits_that_are_not_numbers_are_chosen_and_seen(case: Cases, library: Native, settings: dict) -> None:
    x = case(20, 37, 1, 1, 1).x
    weight = torch.randn(5, 37, generator=torch.Generator().manual_seed(1))
    weight[3] = float("nan")
    (index, found), (expected_index, expected) = both(library, router(settings, weight, 2), x)
    assert torch.equal(index, expected_index) and (index[:, 0] == 3).all()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6, equal_nan=True)


def test_nothing_but_nan(library: Native) -> None:
    x = torch.full((20, 37), float("nan"))
    index, weight = library.route(x, torch.ones(5, 37), 3, "softmax of chosen", 1.0)
    assert index.tolist() == [[0, 1, 2]] * 20 and weight.isnan().all()
