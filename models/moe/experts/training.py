"""Experts with a backward pass of their own: one plan, no masks, scratch memory reused, the activation recomputed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import ModelError
from .operators import Operators
from .rows import pieces, products, scratch

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons, S (token, expert) pairs.


class TrainedExperts(torch.autograd.Function):
    """Gated SiLU experts without bias: x (T, D), index (T, K), weight (T, K), gate_up (N, 2M, D), down (N, D, M).

    Products are in `dtype`, as autocast has them: of tensors of another type, copies are multiplied, and the output and
    the gradients have the type of what they belong to. Between the passes the input of the activation (S, 2M) is kept,
    and such copies. Frozen experts cost no weight gradient. With `accumulate`, a weight that has a gradient gets the
    new one added in place: no memory as large as all experts is taken and added up at each step, but hooks on gradients
    of the experts do not see it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        index: Tensor,
        weight: Tensor,
        gate_up: Tensor,
        down: Tensor,
        ops: Operators,
        accumulate: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        """Sum of weight times expert output, (T, D)."""
        kind = x.dtype
        given = (gate_up, down)
        x = x.to(dtype)
        gate_up = gate_up.to(dtype)
        down = down.to(dtype)
        out, inward, plan = ops.forward(x, index, weight, gate_up, down)
        ctx.save_for_backward(x, plan.order, plan.place, weight, gate_up, down, inward, *given)
        ctx.counts = plan.counts
        ctx.ops = ops
        ctx.accumulate = accumulate
        ctx.kind = kind
        return out.to(kind)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight, gate_up and down; those that nobody needs are None.

        Raises:
            ModelError: a second derivative is asked for, which there is none of.
        """
        if torch.is_grad_enabled():
            raise ModelError("the fast experts have no second derivative: call experts.eager.loop_experts for that")
        (grad_out,) = grad_outputs
        x, order, place, weight, gate_up, down, inward, *given = ctx.saved_tensors
        counts = ctx.counts
        ops = ctx.ops
        top_k = place.shape[1]
        pairs = sum(counts)
        hidden = down.shape[2]
        needs_x, _, needs_weight, needs_gate_up, needs_down, *_ = ctx.needs_input_grad
        # `rows` holds one row of width D for each pair: in turn gradients of outputs, inputs, and gradients of inputs.
        rows = scratch("rows", (pairs, x.shape[1]), x)
        ops.gather(grad_out.to(x.dtype).contiguous(), order, top_k, rows)
        grad_acted = scratch("grad_acted", (pairs, hidden), x)
        products(rows, counts, down.transpose(1, 2), grad_acted)
        grad_inward = scratch("inward", (pairs, 2 * hidden), x)
        acted = scratch("acted", (pairs, hidden), x)
        # The activation is made again from `inward`: to keep it from the forward pass would cost hidden numbers for
        # each pair. The gradient of the weights comes out of the same pass over the rows, wanted or not.
        grad_weight: Tensor | None = ops.gate_backward(inward, order, weight, grad_acted, grad_inward, acted)
        if not needs_weight:
            grad_weight = None
        grad_down = None
        if needs_down:
            grad_down = _outer(rows, acted, counts, given[1], ctx.accumulate)
        grad_gate_up = None
        if needs_gate_up:
            # The gradients of the outputs have been read for the last time; the rows hold the inputs from here on.
            ops.gather(x, order, top_k, rows)
            grad_gate_up = _outer(grad_inward, rows, counts, given[0], ctx.accumulate)
        grad_x = None
        if needs_x:
            products(grad_inward, counts, gate_up.transpose(1, 2), rows)
            grad_x = ops.combine(rows, place).to(ctx.kind)
        return grad_x, None, grad_weight, grad_gate_up, grad_down, None, None, None


def _outer(left: Tensor, right: Tensor, counts: list[int], weights: Tensor, accumulate: bool) -> Tensor | None:
    """left_e^T right_e for each expert, stacked; None when it was added to the gradient that is there."""
    parts = zip(left.split(counts), right.split(counts), strict=True)
    if accumulate and weights.grad is not None:
        for (left_e, right_e), grad_e in zip(parts, weights.grad, strict=True):
            _product(left_e, right_e, grad_e, add=True)
        return None
    grad = torch.empty_like(weights, memory_format=torch.contiguous_format)
    for (left_e, right_e), grad_e in zip(parts, grad, strict=True):
        if len(left_e):
            _product(left_e, right_e, grad_e, add=False)
        else:
            grad_e.zero_()
    return grad


def _product(left_e: Tensor, right_e: Tensor, grad_e: Tensor, *, add: bool) -> None:
    """left_e^T right_e into `grad_e`, or added to it; where that has another type, by way of scratch memory."""
    for left, right in zip(pieces(left_e), pieces(right_e), strict=True):
        if left.dtype == grad_e.dtype:
            if add:
                grad_e.addmm_(left.T, right)
            else:
                torch.mm(left.T, right, out=grad_e)
        else:
            product = scratch("product", (grad_e.shape[0], grad_e.shape[1]), left)
            torch.mm(left.T, right, out=product)
            if add:
                grad_e.add_(product)
            else:
                grad_e.copy_(product)
        add = True
