"""A linear layer with a low-rank update, with its own backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Spans = tuple[tuple[int, int], ...]


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
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, scaling: float, spans: Spans, down: Tensor, *ups: Any
    ) -> tuple[Tensor, Tensor]:
        """Compute y and low."""
        rows = x.reshape(-1, x.shape[-1])
        y = F.linear(rows, weight, bias)
        low = torch.mm(down.to(x.dtype), rows.t())
        for part, low_part, up in zip(_columns(y, spans), _ranks(low, ups), ups, strict=True):
            part.addmm_(low_part.t(), up.to(x.dtype).t(), alpha=scaling)
        ctx.save_for_backward(x, weight, low, down, *ups)
        ctx.scaling, ctx.spans = scaling, spans
        ctx.set_materialize_grads(False)
        return y.view(*x.shape[:-1], -1), low

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of the arguments; `grads` are those of y and of low, which only second derivatives have."""
        grad_y, grad_low = grads
        x, weight, low, down, *ups = ctx.saved_tensors
        needed, rows = ctx.needs_input_grad, x.reshape(-1, x.shape[-1])
        found: list[Tensor | None] = [None] * len(needed)
        if grad_y is not None:
            grad_y = grad_y.reshape(-1, grad_y.shape[-1])
            through, found[6:] = _through_updates(grad_y, low, ups, ctx.spans, ctx.scaling)
            grad_low = through if grad_low is None else through + grad_low
            found[1] = torch.mm(grad_y.t(), rows) if needed[1] else None
            found[2] = grad_y.sum(0) if needed[2] else None
        if grad_low is not None and needed[0]:
            back = (grad_low.t(), down.to(grad_low.dtype))  # not that of x where this runs under autocast
            grad_x = torch.mm(*back) if grad_y is None else torch.mm(grad_y, weight).addmm_(*back)
            found[0] = grad_x.view(x.shape)
        if grad_low is not None and needed[5]:
            found[5] = torch.mm(grad_low, rows).to(down.dtype)
        return tuple(found)


def _through_updates(
    grad_y: Tensor, low: Tensor, ups: Sequence[Tensor], spans: Spans, scaling: float
) -> tuple[Tensor, list[Tensor | None]]:
    """Gradients of low and of each B."""
    lows, grads = [], []
    for part, low_part, up in zip(_columns(grad_y, spans), _ranks(low, ups), ups, strict=True):
        lows.append(torch.mm(up.to(part.dtype).t(), part.t()))
        grads.append(torch.mm(low_part, part).mul_(scaling).t().to(up.dtype))
    return (lows[0] if len(lows) == 1 else torch.cat(lows)).mul_(scaling), grads


def _columns(y: Tensor, spans: Spans) -> list[Tensor]:
    """The columns of each span."""
    return [y if stop - start == y.shape[1] else y[:, start:stop] for start, stop in spans]


def _ranks(low: Tensor, ups: Sequence[Tensor]) -> Sequence[Tensor]:
    """The rows of `low` that belong to each B."""
    return (low,) if len(ups) == 1 else low.split([up.shape[1] for up in ups])
