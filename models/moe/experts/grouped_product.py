"""A product for each expert as one operator of a graph: any shape, type and device, with autograd.

`torch.nn.functional.grouped_mm` wants rows of a multiple of 16 bytes and no float64, and on a GPU bfloat16. Loops over
counts, which eager code has in its place, cannot be in a graph, since their shapes depend on the numbers, and stop the
host until a GPU is done. There, kernels of Triton compute these operators.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

# Shapes: S rows sorted by expert, N experts, I inputs, O outputs; `ends` (N,) is the row behind the last of each.

ALIGNED = 16 // torch.bfloat16.itemsize
"""`grouped_mm` wants rows of a multiple of 16 bytes: so many numbers of bfloat16."""


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
    if _for_triton(rows, matrices):
        from . import _triton_products

        return _triton_products.grouped_product(rows, matrices, ends)
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
    if _for_triton(left, right):
        from . import _triton_products

        return _triton_products.grouped_outer(left, right, ends)
    out = left.new_zeros(len(ends), left.shape[1], right.shape[1])
    for product, begin, end in zip(out, *_bounds(ends), strict=True):
        if end > begin:
            torch.mm(left[begin:end].T, right[begin:end], out=product)
    return out


def product_of_groups(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    """The same by `torch.nn.functional.grouped_mm` where that computes on a GPU, else by `grouped_product`.

    Autocast narrows both, as it does for a product.

    Args:
        rows: (S, I).
        matrices: (N, I, O).
        ends: int32 (N,); what comes out for rows behind the last is undefined.

    Returns:
        (S, O).
    """
    kind = rows.device.type
    if torch.is_autocast_enabled(kind) and torch.float64 not in (rows.dtype, matrices.dtype):
        rows = rows.to(torch.get_autocast_dtype(kind))
        matrices = matrices.to(rows.dtype)
    if fits_grouped_mm(rows, matrices):
        return F.grouped_mm(rows, matrices, offs=ends)
    return grouped_product(rows, matrices, ends)


def fits_grouped_mm(rows: Tensor, matrices: Tensor) -> bool:
    """Whether `grouped_mm` is for these: bfloat16 on a GPU, rows of a multiple of 16 bytes.

    In eager code it takes float32 and float16, too, as a loop over experts that waits for the device; its rule for
    graphs refuses them.
    """
    if not rows.is_cuda or not rows.dtype == matrices.dtype == torch.bfloat16:
        return False
    if not torch.compiler.is_compiling() and _waits(rows.device):
        return False
    return rows.shape[1] % ALIGNED == 0 and matrices.shape[2] % ALIGNED == 0


def _for_triton(left: Tensor, right: Tensor) -> bool:
    """Whether the kernels of `_triton_products` take these: on a GPU, of one type that tensor cores have."""
    known = left.dtype in (torch.float32, torch.float16, torch.bfloat16)
    return left.is_cuda and right.is_cuda and left.dtype == right.dtype and known and _has_triton()


@functools.cache
def _has_triton() -> bool:
    """Whether it is installed; it comes with the builds of torch for GPUs."""
    return importlib.util.find_spec("triton") is not None


@functools.cache
def _waits(device: torch.device) -> bool:
    """Whether `grouped_mm` loops over the experts there and waits for the device, and kernels of ours do not.

    It has kernels of its own for compute capability 9.0 and 10.0. Without a device (traced for another machine): no.
    """
    if not torch.cuda.is_available() or not _has_triton():
        return False
    return torch.cuda.get_device_capability(device)[0] not in (9, 10)


def _bounds(ends: Tensor) -> tuple[list[int], list[int]]:
    behind = ends.tolist()
    return [0, *behind[:-1]], behind


@grouped_product.register_fake
def _(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    return rows.new_empty(rows.shape[0], matrices.shape[2])


@grouped_outer.register_fake
def _(left: Tensor, right: Tensor, ends: Tensor) -> Tensor:
    return left.new_empty(ends.shape[0], left.shape[1], right.shape[1])


@register_flop_formula(torch.ops.sparsebench.grouped_product)
def _(rows: torch.Size, matrices: torch.Size, *_: object, **__: object) -> int:
    return 2 * rows[0] * matrices[1] * matrices[2]


@register_flop_formula(torch.ops.sparsebench.grouped_outer)
def _(left: torch.Size, right: torch.Size, *_: object, **__: object) -> int:
    return 2 * left[0] * left[1] * right[1]


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
