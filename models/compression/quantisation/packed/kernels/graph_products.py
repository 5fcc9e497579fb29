"""The C++ products of packed weights as operators of a graph, for `torch.compile` and `torch.export`."""

from __future__ import annotations

import torch
from torch import Tensor

from ...grid import Grid
from .codes import Codes
from .native import PackedKernels, kernels

# Shapes: R rows, I inputs, O outputs, W words, G groups; T tokens, D width, K chosen experts, N experts, M hidden
# neurons.


@torch.library.custom_op("sparsebench::packed_linear", mutates_args=())
def packed_linear(
    x: Tensor, weight: list[Tensor], bias: Tensor | None, bits: int, group_size: int | None, columns: int
) -> Tensor:
    """x W^T + bias by the kernels, as `PackedKernels.linear`; no gradient.

    Args:
        x: (R, I).
        weight: words (O, W), scale (O, G) and, on a grid that is not symmetric, zero (O, G).
        bias: (O,), or None.
        bits: of a code.
        group_size: columns that share a scale; None is all.
        columns: I.

    Returns:
        (R, O).
    """
    if bias is not None:
        bias = bias.contiguous()
    return _kernels().linear(x.contiguous(), _codes(weight, bits, group_size, columns), bias)


@packed_linear.register_fake
def _(x: Tensor, weight: list[Tensor], bias: Tensor | None, bits: int, group_size: int | None, columns: int) -> Tensor:
    return x.new_empty(x.shape[0], weight[0].shape[0])


@torch.library.custom_op("sparsebench::packed_experts", mutates_args=())
def packed_experts(
    x: Tensor,
    index: Tensor,
    weight: Tensor,
    gate_up: list[Tensor],
    down: list[Tensor],
    bits: int,
    group_size: int | None,
    hidden: int,
) -> Tensor:
    """SwiGLU experts by the kernels, as `PackedKernels.experts`; no gradient.

    Args:
        x: (T, D).
        index: (T, K).
        weight: (T, K).
        gate_up: words, scale and, if there is one, zero of (N, 2M, D).
        down: likewise of (N, D, M).
        bits: of a code.
        group_size: columns that share a scale; None is all.
        hidden: M.

    Returns:
        (T, D).
    """
    inward = _codes(gate_up, bits, group_size, x.shape[1])
    outward = _codes(down, bits, group_size, hidden)
    routing = (index.to(torch.int64).contiguous(), weight.to(torch.float32).contiguous())
    return _kernels().experts(x.contiguous(), *routing, inward, outward)


@packed_experts.register_fake
def _(
    x: Tensor,
    index: Tensor,
    weight: Tensor,
    gate_up: list[Tensor],
    down: list[Tensor],
    bits: int,
    group_size: int | None,
    hidden: int,
) -> Tensor:
    return x.new_empty(x.shape)


def linear_in_a_graph(x: Tensor, weight: Codes, bias: Tensor | None) -> Tensor:
    """The same for x (..., I)."""
    rows = x.reshape(-1, x.shape[-1])
    grid = weight.grid
    out = packed_linear(rows, _parts(weight), bias, grid.bits, grid.group_size, weight.columns)
    return out.view(*x.shape[:-1], weight.words.shape[0])


def experts_in_a_graph(x: Tensor, index: Tensor, weight: Tensor, gate_up: Codes, down: Codes) -> Tensor:
    """The layer (T, D)."""
    grid = down.grid
    return packed_experts(x, index, weight, _parts(gate_up), _parts(down), grid.bits, grid.group_size, down.columns)


def _parts(weight: Codes) -> list[Tensor]:
    parts = [weight.words, weight.scale]
    if weight.zero is not None:
        parts.append(weight.zero)
    return parts


def _codes(parts: list[Tensor], bits: int, group_size: int | None, columns: int) -> Codes:
    words, scale, *zero = (part.contiguous() for part in parts)
    grid = Grid(bits=bits, group_size=group_size, symmetric=not zero)
    return Codes(words, scale, zero[0] if zero else None, grid, columns)


def _kernels() -> PackedKernels:
    found = kernels()
    assert found is not None  # who put the operator into the graph had asked
    return found
