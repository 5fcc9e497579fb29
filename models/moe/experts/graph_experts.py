"""SwiGLU experts as operators of a graph: what `dispatch` and `training` do, with shapes that no number decides.

`torch.compile` and `torch.export` take each as one operator; they call the C++ kernels where these can be had.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ModelError
from .eager import Weights, few_experts
from .native import Native, native
from .operators import Operators
from .training import TrainedExperts

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons, S = T K (token, expert) pairs.

FEW_PAIRS = 4
"""Up to so many (token, expert) pairs, PyTorch's operators take them one by one."""
_TORCH = Operators()


def evaluated(
    x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor, library: Native | None
) -> Tensor:
    """SwiGLU experts where nobody wants a gradient, by the fastest way for so many tokens; contiguous tensors."""
    if library is not None:
        return library.evaluated(x_TD, index_TK, weight_TK, gate_up, down)
    # A token or two while decoding: sorting pairs would take longer than their products.
    if index_TK.numel() <= FEW_PAIRS:
        return few_experts(x_TD, index_TK, weight_TK, Weights(gate_up, down, None, True, F.silu))
    return _TORCH.forward(x_TD, index_TK, weight_TK, gate_up, down)[0]


@torch.library.custom_op("sparsebench::swiglu_experts", mutates_args=())
def swiglu_experts(x: Tensor, index: Tensor, weight: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """Sum over the chosen experts of weight times W_down (silu(W_gate x) * (W_up x)); no gradient.

    Args:
        x: (T, D).
        index: (T, K); N stands for no expert.
        weight: (T, K).
        gate_up: (N, 2M, D).
        down: (N, D, M).

    Returns:
        (T, D).
    """
    ops = _operators(x)
    tensors = _read_by(ops, x, index, weight, gate_up, down)
    with torch.no_grad():
        return evaluated(*tensors, ops if isinstance(ops, Native) else None)


@swiglu_experts.register_fake
def _(x: Tensor, index: Tensor, weight: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("sparsebench::trained_swiglu_experts", mutates_args=())
def trained_swiglu_experts(
    x: Tensor, index: Tensor, weight: Tensor, gate_up: Tensor, down: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The same with a gradient, all of one type but the weights.

    Args:
        x: (T, D).
        index: (T, K); N stands for no expert.
        weight: (T, K).
        gate_up: (N, 2M, D).
        down: (N, D, M).

    Returns:
        The output (T, D), and what the way back needs: the input of the activation (S, 2M), and the plan of the pairs,
        their order (S,), places (T, K) and counts (N,).
    """
    ops = _operators(x)
    with torch.no_grad():
        tensors = _read_by(ops, x, index, weight, gate_up, down)
        out, inward, plan = ops.forward(*tensors)
        missing = index.numel() - len(inward)
        if missing:  # pairs without an expert
            inward = F.pad(inward, (0, 0, 0, missing))
    return out, inward, plan.order, plan.place, index.new_tensor(plan.counts)


@trained_swiglu_experts.register_fake
def _(
    x: Tensor, index: Tensor, weight: Tensor, gate_up: Tensor, down: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    pairs = index.numel()
    inward = x.new_empty(pairs, gate_up.shape[1])
    counts = index.new_empty(down.shape[0])
    return x.new_empty(x.shape), inward, index.new_empty(pairs), index.new_empty(index.shape), counts


@torch.library.custom_op("sparsebench::swiglu_experts_backward", mutates_args=())
def swiglu_experts_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    gate_up: Tensor,
    down: Tensor,
    inward: Tensor,
    order: Tensor,
    place: Tensor,
    counts: Tensor,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The way back through `trained_swiglu_experts`.

    Args:
        grad: of the output, (T, D).
        x: as it went in, like the four after it.
        weight: (T, K).
        gate_up: (N, 2M, D).
        down: (N, D, M).
        inward: the input of the activation, (S, 2M).
        order: (S,).
        place: (T, K).
        counts: (N,).
        needs: for x, weight, gate_up and down, whether anybody wants the gradient.

    Returns:
        Those gradients; those that nobody wants are empty.
    """
    ops = _operators(x)
    numbers = counts.tolist()
    needs_x, needs_weight, needs_gate_up, needs_down = needs
    x, place, read, *matrices = _read_by(ops, x, place, weight, gate_up, down)
    kept = (x, order, place, read, *matrices, inward[: sum(numbers)], *matrices)
    context = SimpleNamespace(
        saved_tensors=kept,
        counts=numbers,
        ops=ops,
        accumulate=False,
        kind=x.dtype,
        needs_input_grad=(needs_x, False, needs_weight, needs_gate_up, needs_down),
    )
    with torch.no_grad():
        to_x, _, to_weight, to_gate_up, to_down, *_ = TrainedExperts.backward(context, grad)
    if to_weight is not None:
        to_weight = to_weight.to(weight.dtype)
    return _or_empty(to_x, x), _or_empty(to_weight, weight), _or_empty(to_gate_up, x), _or_empty(to_down, x)


@swiglu_experts_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    gate_up: Tensor,
    down: Tensor,
    inward: Tensor,
    order: Tensor,
    place: Tensor,
    counts: Tensor,
    needs: list[bool],
) -> tuple[Tensor, ...]:
    made = []
    for value, wanted in zip((x, weight, gate_up, down), needs, strict=True):
        made.append(value.new_empty(value.shape if wanted else (0,)))
    return tuple(made)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    x, _, weight, gate_up, down = inputs
    _, inward, order, place, counts = output
    ctx.mark_non_differentiable(inward, order, place, counts)
    ctx.save_for_backward(x, weight, gate_up, down, inward, order, place, counts)


def _backward(ctx: Any, grad: Tensor, *others: Tensor) -> tuple[Tensor | None, ...]:
    needs_x, _, *needs = ctx.needs_input_grad
    wanted = [needs_x, *needs]
    found = swiglu_experts_backward(grad, *ctx.saved_tensors, wanted)
    to_x, *rest = [value if needed else None for value, needed in zip(found, wanted, strict=True)]
    return to_x, None, *rest


trained_swiglu_experts.register_autograd(_backward, setup_context=_keep)


def _operators(x: Tensor) -> Operators:
    library = native()
    if library is None or x.dtype not in library.dtypes:
        return _TORCH
    return library


def _read_by(
    ops: Operators, x: Tensor, index: Tensor, weight: Tensor, gate_up: Tensor, down: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The tensors as operators read them, by plain pointers. Raises `ModelError` for what these cannot read."""
    if not x.dtype == gate_up.dtype == down.dtype or index.dtype != torch.int64:
        types = ", ".join(str(tensor.dtype) for tensor in (x, gate_up, down, index))
        raise ModelError(f"tokens and experts of one type and indices of int64 are needed, not {types}")
    if ops is not _TORCH:
        weight = weight.to(torch.float32)
    return x.contiguous(), index.contiguous(), weight.contiguous(), gate_up.contiguous(), down.contiguous()


def _or_empty(value: Tensor | None, like: Tensor) -> Tensor:
    return like.new_empty(0) if value is None else value
