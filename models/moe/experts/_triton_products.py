"""The products of `grouped_product` as Triton kernels: no number goes to the host. Imported on a GPU alone."""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from ._tiles import TILE_I, TILE_O, TILE_S, WARPS

# Shapes: S rows sorted by expert, N experts, I inputs, O outputs; `ends` (N,) is the row behind the last of each.
# B tiles of TILE_S rows: each belongs to one expert, and begins at a row of it.


@triton.jit
def product_kernel(
    rows, matrices, out, tile_expert, tile_row, ends, inputs, outputs, experts,
    row_s, row_i, matrix_n, matrix_i, matrix_o, out_s,
    tile_s: tl.constexpr, tile_o: tl.constexpr, tile_i: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """One tile of rows times one tile of columns of their expert's matrix."""
    tile = tl.program_id(0)
    expert = tl.load(tile_expert + tile)
    if expert >= experts:
        return
    at_s = tl.load(tile_row + tile) + tl.arange(0, tile_s)
    at_o = tl.program_id(1) * tile_o + tl.arange(0, tile_o)
    at_i = tl.arange(0, tile_i)
    there_s = at_s < tl.load(ends + expert)
    there_o = at_o < outputs
    rows += at_s.to(tl.int64)[:, None] * row_s
    matrices += expert.to(tl.int64) * matrix_n + at_o[None, :] * matrix_o
    total = tl.zeros((tile_s, tile_o), dtype=tl.float32)
    for start in range(0, inputs, tile_i):
        column = start + at_i
        there_i = column < inputs
        left = tl.load(rows + column[None, :] * row_i, mask=there_s[:, None] & there_i[None, :], other=0.0)
        right = tl.load(matrices + column[:, None] * matrix_i, mask=there_i[:, None] & there_o[None, :], other=0.0)
        total = tl.dot(left, right, total, input_precision=precision)
    place = out + at_s.to(tl.int64)[:, None] * out_s + at_o[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=there_s[:, None] & there_o[None, :])


@triton.jit
def outer_kernel(
    left, right, out, ends, inputs, outputs,
    left_s, left_i, right_s, right_o,
    tile_s: tl.constexpr, tile_o: tl.constexpr, tile_i: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """One tile of left^T right over the rows of one expert."""
    expert = tl.program_id(0)
    at_i = tl.program_id(1) * tile_i + tl.arange(0, tile_i)
    at_o = tl.program_id(2) * tile_o + tl.arange(0, tile_o)
    there_i = at_i < inputs
    there_o = at_o < outputs
    begin = tl.load(ends + expert - 1, mask=expert > 0, other=0)
    end = tl.load(ends + expert)
    total = tl.zeros((tile_i, tile_o), dtype=tl.float32)
    for start in range(begin, end, tile_s):
        row = start + tl.arange(0, tile_s)
        there_s = row < end
        row = row.to(tl.int64)
        a = tl.load(
            left + row[None, :] * left_s + at_i[:, None] * left_i, mask=there_i[:, None] & there_s[None, :], other=0.0
        )
        b = tl.load(
            right + row[:, None] * right_s + at_o[None, :] * right_o,
            mask=there_s[:, None] & there_o[None, :],
            other=0.0,
        )
        total = tl.dot(a, b, total, input_precision=precision)
    place = out + (expert.to(tl.int64) * inputs + at_i[:, None]) * outputs + at_o[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=there_i[:, None] & there_o[None, :])


def grouped_product(rows: Tensor, matrices: Tensor, ends: Tensor) -> Tensor:
    """As `grouped_product.grouped_product`, for a type that tensor cores have."""
    experts, inputs, outputs = matrices.shape
    out = rows.new_zeros(len(rows), outputs)
    ends = ends.to(torch.int32)
    tile_expert, tile_row = _tiles(ends, len(rows))
    grid = (len(tile_expert), triton.cdiv(outputs, TILE_O))
    with torch.cuda.device_of(rows):
        product_kernel[grid](  # pyright: ignore[reportIndexIssue]
            rows, matrices, out, tile_expert, tile_row, ends, inputs, outputs, experts,
            *rows.stride(), *matrices.stride(), out.stride(0),
            tile_s=TILE_S, tile_o=TILE_O, tile_i=TILE_I, precision=_precision(), num_warps=WARPS,
        )  # fmt: skip
    return out


def grouped_outer(left: Tensor, right: Tensor, ends: Tensor) -> Tensor:
    """As `grouped_product.grouped_outer`, for a type that tensor cores have."""
    inputs = left.shape[1]
    outputs = right.shape[1]
    out = left.new_empty(len(ends), inputs, outputs)
    grid = (len(ends), triton.cdiv(inputs, TILE_S), triton.cdiv(outputs, TILE_O))
    with torch.cuda.device_of(left):
        outer_kernel[grid](  # pyright: ignore[reportIndexIssue]
            left, right, out, ends.to(torch.int32), inputs, outputs, *left.stride(), *right.stride(),
            tile_s=TILE_I, tile_o=TILE_O, tile_i=TILE_S, precision=_precision(), num_warps=WARPS,
        )  # fmt: skip
    return out


def _tiles(ends_N: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Expert (B,) and first row (B,) of each tile, reckoned on the device; a tile too many has the expert N.

    How many tiles there are depends on the counts, which stay on the device: B is the most that there can be.
    """
    begins_N = ends_N.roll(1)
    begins_N[:1] = 0
    tiles_N = (ends_N - begins_N + TILE_S - 1) // TILE_S
    behind_N = tiles_N.cumsum(0)
    tile_B = torch.arange(rows // TILE_S + len(ends_N), device=ends_N.device)
    expert_B = torch.searchsorted(behind_N, tile_B, right=True)
    known_B = expert_B.clamp(max=len(ends_N) - 1)
    first_B = begins_N[known_B] + (tile_B - behind_N[known_B] + tiles_N[known_B]) * TILE_S
    return expert_B.to(torch.int32), first_B.to(torch.int32)


def _precision() -> str:
    """Whether products of float32 may be rounded to TF32, as torch was told of its own."""
    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"
