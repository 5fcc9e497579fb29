"""A linear layer with a low-rank update, with its own backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Spans = tuple[tuple[int, int], ...]


class LowRankLinear(torch.autograd.Function):
    """y = x W^T + b, plus scaling * (x A_i^T) B_i^T in the columns [start, stop) of each span i.

    x (n, in), W (out, in), b (out) or None, A (ranks of all spans together, in), B_i (stop - start, rank of i). x, W
    and b have one dtype, in which everything is computed; the gradients of A and B_i have theirs. Returns y (n, out)
    and low = A x^T. The update is added in place, and the backward pass keeps nothing but the arguments and `low`,
    which is an output so that second derivatives pass through it. `low` has the long dimension last: a CPU computes
    products of that form up to five times as fast as those with (n, rank).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        scaling: float,
        spans: Spans,
        down: Tensor,
        *ups: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Compute y and low."""
        y = F.linear(x, weight, bias)
        low = torch.mm(down.to(x.dtype), x.t())
        for columns, ranks, up in _parts(spans, ups):
            part = y[:, columns]
            torch.addmm(part, low[ranks].t(), up.to(x.dtype).t(), alpha=scaling, out=part)
        ctx.save_for_backward(x, weight, low, down, *ups)
        ctx.scaling, ctx.spans = scaling, spans
        ctx.set_materialize_grads(False)
        return y, low

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of the arguments; `grads` are those of y and of low, which only second derivatives have."""
        grad_y, grad_low = grads
        x, weight, low, down, *ups = ctx.saved_tensors
        found: list[Tensor | None] = [None] * (6 + len(ups))
        if grad_y is not None:
            through, found[6:] = _through_updates(grad_y, low, _parts(ctx.spans, ups), ctx.scaling)
            grad_low = through if grad_low is None else through + grad_low
            found[1] = grad_y.t() @ x if ctx.needs_input_grad[1] else None
            found[2] = grad_y.sum(0) if ctx.needs_input_grad[2] else None
        if grad_low is not None and ctx.needs_input_grad[0]:
            factor = down.to(x.dtype)
            found[0] = grad_low.t() @ factor if grad_y is None else (grad_y @ weight).addmm_(grad_low.t(), factor)
        if grad_low is not None and ctx.needs_input_grad[5]:
            found[5] = (grad_low @ x).to(down.dtype)
        return tuple(found)


def _parts(spans: Spans, ups: Sequence[Tensor]) -> Iterator[tuple[slice, slice, Tensor]]:
    """Columns of y, rows of low and the factor B of each span."""
    first = 0
    for (start, stop), up in zip(spans, ups, strict=True):
        yield slice(start, stop), slice(first, first + up.shape[1]), up
        first += up.shape[1]


def _through_updates(
    grad_y: Tensor, low: Tensor, parts: Iterator[tuple[slice, slice, Tensor]], scaling: float
) -> tuple[Tensor, list[Tensor | None]]:
    """Gradients of low and of each B."""
    lows, ups = [], []
    for columns, ranks, up in parts:
        grad = grad_y[:, columns]
        lows.append(torch.mm(up.to(grad.dtype).t(), grad.t()))
        ups.append((torch.mm(low[ranks], grad) * scaling).t().to(up.dtype))
    return (lows[0] if len(lows) == 1 else torch.cat(lows)) * scaling, ups
