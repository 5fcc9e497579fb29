"""A product for each expert as one operator of a graph: any shape, type and device, with autograd.

`torch.nn.functional.grouped_mm` wants rows of a multiple of 16 bytes and no float64. Loops over counts, which eager
code has in its place, cannot be in a graph, since their shapes depend on the numbers.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Shapes: S rows sorted by expert, N experts, I inputs, O outputs; `ends` (N,) is the row behind the last of each.


@torch.library.custom_op("sparsebench::grouped_product", mutates_args=())
def grouped_product(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    """The rows of each expert times its matrix.

    Args:
        rows: (S, I).
        matrices: (N, I, O).
        ends: integers (N,), rising; rows from the last one on belong to nobody.

    Returns:
        (S, O), 0 for the rows of nobody.
    """
    out = rows.new_zeros(len(rows), matrices.shape[2])
    for matrix, begin, end in zip(matrices, *_bounds(ends), strict=True):
        if end > begin:
            torch.mm(rows[begin:end], matrix, out=out[begin:end])
    return out


@torch.library.custom_op("sparsebench::grouped_outer", mutates_args=())
def grouped_outer(left: Tensor, right: Tensor, ends: Tensor) -> Tensor:
    """The gradient of the matrices: left^T right over the rows of each expert.

    Args:
        left: (S, I).
        right: (S, O).
        ends: as in `grouped_product`.

    Returns:
        (N, I, O).
    """
    out = left.new_zeros(len(ends), left.shape[1], right.shape[1])
    for product, begin, end in zip(out, *_bounds(ends), strict=True):
        if end > begin:
            torch.mm(left[begin:end].T, right[begin:end], out=product)
    return out


def grouped_mm(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    """The same by torch, which is faster on a GPU.

    Args:
        rows: (S, I), of a multiple of 16 bytes, as of O.
        matrices: (N, I, O).
        ends: int32 (N,); what comes out for rows behind the last is undefined.

    Returns:
        (S, O).
    """
    return F.grouped_mm(rows, matrices, offs=ends)


def _bounds(ends: Tensor) -> tuple[list[int], list[int]]:
    behind = ends.tolist()
    return [0, *behind[:-1]], behind


@grouped_product.register_fake
def _(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    return rows.new_empty(rows.shape[0], matrices.shape[2])


@grouped_outer.register_fake
def _(left: Tensor, right: Tensor, ends: Tensor) -> Tensor:
    return left.new_empty(ends.shape[0], left.shape[1], right.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    rows, matrices, ends = ctx.saved_tensors
    needs_rows, needs_matrices, _ = ctx.needs_input_grad
    to_rows = None
    if needs_rows:
        to_rows = grouped_product(grad, matrices.transpose(1, 2), ends)
    to_matrices = None
    if needs_matrices:
        to_matrices = grouped_outer(rows, grad, ends)
    return to_rows, to_matrices, None


grouped_product.register_autograd(_backward, setup_context=_keep)
