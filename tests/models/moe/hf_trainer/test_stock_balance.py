"""The balance loss of stock mixtures against transformers' own of one process, and a slow count in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.moe.hf_trainer.stock_balance import stock_balance

STOCK = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", STOCK)
def test_it_is_that_of_transformers(
    build: Callable[[str], Any], example: Callable[..., Tensor], family: str, padded: bool
) -> None:
    model = build(family).train()
    model.set_experts_implementation("eager")  # the default needs rows of 16 bytes
    tokens = example(model)
    mask = torch.ones_like(tokens)
    if padded:
        mask[0, 4:] = 0
    out = model(input_ids=tokens, attention_mask=mask, output_router_logits=True)
    found = stock_balance(out.router_logits, model.num_experts_per_tok, mask)
    torch.testing.assert_close(found, out.aux_loss, rtol=1e-6, atol=1e-6)
    for loss in (found, out.aux_loss):
        model.zero_grad()
        loss.backward(retain_graph=True)
    assert float(found.detach()) > 0


@pytest.mark.parametrize("masked", [False, True])
def test_value_and_gradient_of_a_slow_count(masked: bool) -> None:
    draws = torch.Generator().manual_seed(0)
    logits = [torch.randn(6, 5, generator=draws, requires_grad=True) for _ in range(3)]
    mask = torch.tensor([[1, 1, 0], [1, 0, 1]]) if masked else None
    real = [True] * 6 if mask is None else mask.flatten().bool().tolist()
    picks = [0.0] * 5
    chances = torch.zeros(5, dtype=torch.float64)
    for layer in logits:
        for token, counts in zip(layer.double(), real, strict=True):
            if counts:
                chances = chances + token.softmax(0)
                for expert in token.topk(2).indices.tolist():
                    picks[expert] += 1
    rows = 3 * sum(real)
    slow = 5 * (torch.tensor(picks, dtype=torch.float64) / rows * chances / rows).sum()
    expected = torch.autograd.grad(slow, logits)
    found = stock_balance(logits, 2, mask)
    assert found.item() == pytest.approx(slow.item(), rel=1e-6)
    for here, there in zip(torch.autograd.grad(found, logits), expected, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-7)


def test_even_loads_give_k_and_padding_alone_gives_0() -> None:
    logits = [torch.eye(4) * 9 + torch.eye(4).roll(1, 0) * 9]
    assert stock_balance(logits, 2).item() == pytest.approx(2)
    assert stock_balance(logits, 2, torch.zeros(1, 4)).item() == 0
