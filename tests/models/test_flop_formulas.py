"""Operators that torch's flop counter does not know, against counts by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.counting import counted_flops, flops, training_flops


def test_attention_counts_backward_on_the_cpu() -> None:
    q = torch.randn(2, 4, 8, 16, requires_grad=True)
    product = 2 * 2 * 4 * 8 * 8 * 16
    assert training_flops(lambda: nn.functional.scaled_dot_product_attention(q, q, q).sum()) == (2 + 5) * product


def test_recurrent_layers_count() -> None:
    lstm = nn.LSTM(8, 16, 2, batch_first=True)
    x = torch.randn(3, 5, 8)
    once = 2 * 15 * 4 * 16 * ((8 + 16) + (16 + 16))
    assert flops(lstm, x) == once
    assert training_flops(lambda: lstm(x)[0].sum()) == 3 * once


def test_recurrent_layers_of_a_gpu_count() -> None:
    """The operator by itself, where there is no GPU: all matrices in one list."""
    lstm = nn.LSTM(8, 16, 2, device="meta")
    x = torch.empty(5, 3, 8, device="meta")
    state = torch.empty(2, 3, 16, device="meta")
    sizes = (2, 16, 0, 2, False, 0.0, False, False, (), None)  # an LSTM of 16 units in 2 layers
    with counted_flops() as reading:
        torch.ops.aten._cudnn_rnn(x, list(lstm.parameters()), 4, None, state, state, *sizes)
    assert reading() == 2 * 15 * 4 * 16 * ((8 + 16) + (16 + 16))


@pytest.mark.parametrize(
    "product",
    [
        lambda a, b: a @ b[:, 0],
        lambda a, b: torch.addmv(torch.ones(3), a, b[:, 0]),
        lambda a, b: torch.ones(3, 1).addmm_(a, b[:, :1]),
        lambda a, b: torch.ones(1, 3, 1).baddbmm_(a[None], b[None, :, :1]),
        lambda a, b: torch.addbmm(torch.ones(3, 1), a[None], b[None, :, :1]),
        lambda a, b: torch._addmm_activation(torch.ones(1), a, b[:, :1]),
    ],
)
def test_every_form_of_a_product_counts(product: Callable[..., torch.Tensor]) -> None:
    assert flops(product, torch.ones(3, 5), torch.ones(5, 2)) == 2 * 3 * 5
