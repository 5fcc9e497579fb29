"""Rows sorted by expert: one matrix product for each expert, and the memory that is kept between calls."""

from __future__ import annotations

import threading

import torch
import torch.nn.functional as F
from torch import Tensor

KEPT_BYTES = 256 << 20
STEP = 64
_scratch = threading.local()


def products(rows: Tensor, counts: list[int], weights: Tensor, out: Tensor) -> None:
    """out = rows W_e^T for the rows of each expert in turn."""
    for row, weight, place in zip(rows.split(counts), weights, out.split(counts), strict=True):
        for part, target in zip(pieces(row), pieces(place), strict=True):
            torch.mm(part, weight.T, out=target)


def pieces(rows: Tensor) -> tuple[Tensor, ...]:
    """The rows of one expert as they are multiplied: at once, or in bfloat16 a multiple of `STEP` and the rest.

    oneDNN compiles a product of bfloat16 for each shape and keeps 1,024 of them. Routes that differ by layer and expert
    have thousands of numbers of rows, so that all would be compiled again in each step; these have 100 or so. Without
    rows, there is no piece.
    """
    count = len(rows)
    if count == 0:
        return ()
    whole = count // STEP * STEP
    if rows.dtype != torch.bfloat16 or whole in (0, count):
        return (rows,)
    return (rows[:whole], rows[whole:])


def padded(rows: Tensor) -> Tensor:
    """Rows (R, ...) filled up with zeros to a multiple of `STEP`, for the reason that `pieces` gives; autograd sees it.

    Fewer than `STEP` stay as they are: so few numbers of rows do not fill oneDNN's memory of shapes, and zeros would be
    most of the work.
    """
    missing = -len(rows) % STEP
    if len(rows) < STEP or missing == 0:
        return rows
    return F.pad(rows, (0, 0) * (rows.dim() - 1) + (0, missing))


def scratch(name: str, shape: tuple[int, int], like: Tensor) -> Tensor:
    """Memory that is kept between calls of a thread, unless it is large: fresh pages cost a fault each."""
    size = shape[0] * shape[1]
    if size * like.element_size() > KEPT_BYTES:
        return like.new_empty(shape)
    key = f"{name} {like.dtype} {like.device}"
    kept = _scratch.__dict__.get(key)
    if kept is None or kept.numel() < size:
        with torch.inference_mode(False):
            _scratch.__dict__[key] = kept = torch.empty(size, dtype=like.dtype, device=like.device)
    return kept[:size].view(shape)
