"""The product of a few rows with packed weights as a Triton kernel. Imported on a GPU alone."""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from .codes import Codes

# Shapes: R rows, I inputs, O outputs, G groups, W words of a row.

TILE_R = 16
TILE_O = 64
TILE_I = 64
WARPS = 4


@triton.jit
def packed_kernel(
    x, words, scale, zero, out, rows, inputs, outputs, row_words, groups, group_size,
    bits: tl.constexpr, middle: tl.constexpr, symmetric: tl.constexpr,
    tile_r: tl.constexpr, tile_o: tl.constexpr, tile_i: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """One tile of x W^T, where W = (code - zero) * scale; `zero` is not read where the grid is symmetric."""
    at_r = tl.program_id(0) * tile_r + tl.arange(0, tile_r)
    at_o = tl.program_id(1) * tile_o + tl.arange(0, tile_o)
    there_r = at_r < rows
    there_o = at_o < outputs
    total = tl.zeros((tile_r, tile_o), dtype=tl.float32)
    for start in range(0, inputs, tile_i):
        at_i = start + tl.arange(0, tile_i)
        there_i = at_i < inputs
        there_io = there_i[:, None] & there_o[None, :]
        bit = at_i * bits
        word = tl.load(words + at_o[None, :].to(tl.int64) * row_words + (bit // 32)[:, None], mask=there_io, other=0)
        code = (word >> (bit % 32)[:, None]) & (2**bits - 1)
        group = at_o[None, :].to(tl.int64) * groups + (at_i // group_size)[:, None]
        if symmetric:
            step = (code - middle).to(tl.float32)
        else:
            step = code.to(tl.float32) - tl.load(zero + group, mask=there_io, other=0).to(tl.float32)
        weight = step * tl.load(scale + group, mask=there_io, other=0.0).to(tl.float32)
        place = x + at_r[:, None].to(tl.int64) * inputs + at_i[None, :]
        left = tl.load(place, mask=there_r[:, None] & there_i[None, :], other=0.0)
        total = tl.dot(left, weight.to(left.dtype), total, input_precision=precision)
    place = out + at_r[:, None].to(tl.int64) * outputs + at_o[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=there_r[:, None] & there_o[None, :])


def linear(x_RI: Tensor, weight: Codes) -> Tensor:
    """x W^T (R, O), for codes of 2, 4 or 8 bits and contiguous rows."""
    out_RO = x_RI.new_empty(len(x_RI), weight.outputs)
    grid = (triton.cdiv(len(x_RI), TILE_R), triton.cdiv(weight.outputs, TILE_O))
    precision = "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"
    zero = weight.scale if weight.zero is None else weight.zero  # of a symmetric grid it is not read
    with torch.cuda.device_of(x_RI):
        packed_kernel[grid](  # pyright: ignore[reportIndexIssue]
            x_RI, weight.words, weight.scale, zero, out_RO,
            len(x_RI), weight.columns, weight.outputs, weight.words.shape[-1], weight.scale.shape[-1],
            weight.grid.size(weight.columns),
            bits=weight.grid.bits, middle=weight.grid.middle, symmetric=weight.zero is None,
            tile_r=TILE_R, tile_o=TILE_O, tile_i=TILE_I, precision=precision, num_warps=WARPS,
        )  # fmt: skip
    return out_RO
