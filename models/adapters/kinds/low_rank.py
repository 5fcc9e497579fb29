"""A linear layer with a low-rank update, with its own backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Span = tuple[int, int]
"""Outputs [start, stop)."""

# Shapes: N rows (all dimensions of x but the last), I inputs, O outputs, S outputs of one span, R rank of its pair, Q
# ranks of all pairs together.


class LowRankLinear(torch.autograd.Function):
    """y = x W^T + b, plus scaling * (x A_i^T) B_i^T in the columns [start, stop) of each span i.

    x (..., in), W (out, in), b (out) or None, A (ranks of all spans together, in), B_i (stop - start, rank of i). x, W
    and b have one dtype, in which everything is computed; the gradients of A and B_i have theirs. Returns y (..., out)
    and low = A x^T (ranks, rows). The update is added in place, and the backward pass keeps nothing but the arguments
    and `low`, which is an output so that second derivatives pass through it. `low` has the long dimension last: a CPU
    computes products of that form up to five times as fast as those with (rows, rank).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_OI: Tensor,
        bias: Tensor | None,
        scaling: float,
        spans: tuple[Span, ...],
        down_QI: Tensor,
        *ups: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Compute y and low."""
        x_NI = x.reshape(-1, x.shape[-1])
        y_NO = F.linear(x_NI, weight_OI, bias)
        low_QN = torch.mm(down_QI.to(x.dtype), x_NI.t())
        for y_NS, low_RN, up_SR in zip(_columns(y_NO, spans), _ranks(low_QN, ups), ups, strict=True):
            y_NS.addmm_(low_RN.t(), up_SR.to(x.dtype).t(), alpha=scaling)
        ctx.save_for_backward(x, weight_OI, low_QN, down_QI, *ups)
        ctx.scaling = scaling
        ctx.spans = spans
        ctx.set_materialize_grads(False)
        return y_NO.view(*x.shape[:-1], -1), low_QN

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of the arguments; `grads` are those of y and of low, which only second derivatives have."""
        grad_y, grad_low_QN = grads
        x, weight_OI, low_QN, down_QI, *ups = ctx.saved_tensors
        x_NI = x.reshape(-1, x.shape[-1])
        needs_x, needs_weight, needs_bias, _, _, needs_down, *_ = ctx.needs_input_grad
        grad_y_NO = None
        grad_x = grad_weight = grad_bias = grad_down = None
        grad_ups: list[Tensor | None] = [None] * len(ups)
        if grad_y is not None:
            grad_y_NO = grad_y.reshape(-1, grad_y.shape[-1])
            through_QN, grad_ups = _through_updates(grad_y_NO, low_QN, ups, ctx.spans, ctx.scaling)
            grad_low_QN = through_QN if grad_low_QN is None else through_QN + grad_low_QN
            if needs_weight:
                grad_weight = torch.mm(grad_y_NO.t(), x_NI)
            if needs_bias:
                grad_bias = grad_y_NO.sum(0)
        if grad_low_QN is not None and needs_x:
            grad_low_NQ = grad_low_QN.t()
            cast_QI = down_QI.to(grad_low_QN.dtype)  # under autocast not the dtype of x
            if grad_y_NO is None:
                grad_x_NI = torch.mm(grad_low_NQ, cast_QI)
            else:
                grad_x_NI = torch.mm(grad_y_NO, weight_OI).addmm_(grad_low_NQ, cast_QI)
            grad_x = grad_x_NI.view(x.shape)
        if grad_low_QN is not None and needs_down:
            grad_down = torch.mm(grad_low_QN, x_NI).to(down_QI.dtype)
        return grad_x, grad_weight, grad_bias, None, None, grad_down, *grad_ups


def _through_updates(
    grad_y_NO: Tensor, low_QN: Tensor, ups: Sequence[Tensor], spans: Sequence[Span], scaling: float
) -> tuple[Tensor, list[Tensor | None]]:
    """Gradients of low and of each B."""
    grad_lows: list[Tensor] = []
    grad_ups: list[Tensor | None] = []
    for grad_NS, low_RN, up_SR in zip(_columns(grad_y_NO, spans), _ranks(low_QN, ups), ups, strict=True):
        grad_lows.append(torch.mm(up_SR.to(grad_NS.dtype).t(), grad_NS.t()))
        grad_up_RS = torch.mm(low_RN, grad_NS).mul_(scaling)
        grad_ups.append(grad_up_RS.t().to(up_SR.dtype))
    grad_low_QN = grad_lows[0] if len(grad_lows) == 1 else torch.cat(grad_lows)
    return grad_low_QN.mul_(scaling), grad_ups


def _columns(y_NO: Tensor, spans: Sequence[Span]) -> list[Tensor]:
    """The columns of each span."""
    if spans == ((0, y_NO.shape[1]),):
        return [y_NO]
    return [y_NO[:, start:stop] for start, stop in spans]


def _ranks(low_QN: Tensor, ups: Sequence[Tensor]) -> Sequence[Tensor]:
    """The rows of `low` that belong to each B."""
    if len(ups) == 1:
        return (low_QN,)
    return low_QN.split([up_SR.shape[1] for up_SR in ups])
