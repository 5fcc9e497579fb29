"""Experts on many rows: sort once, then two ordinary matrix products for each expert, and little between them."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from .operators import Operators

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons, S (token, expert) pairs.

KEPT_BYTES = 256 << 20
_scratch = threading.local()


def segment_experts(
    x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor, operators: Operators
) -> Tensor:
    """Gated SiLU experts without autograd, (T, D). The routing weight goes into the hidden activation: M < D."""
    counts, order, place = operators.plan(index_TK, len(down))
    pairs, hidden = sum(counts), down.shape[2]
    rows = scratch("rows", (pairs, x_TD.shape[1]), x_TD)
    inward, acted = scratch("inward", (pairs, 2 * hidden), x_TD), scratch("acted", (pairs, hidden), x_TD)
    operators.gather(x_TD, order, index_TK.shape[1], rows)
    products(rows, counts, gate_up, inward)
    operators.gate(inward, order, weight_TK, acted)
    products(acted, counts, down, rows)
    return operators.combine(rows, place)


def products(rows: Tensor, counts: list[int], weights: Tensor, out: Tensor) -> None:
    """out = rows W_e^T for the rows of each expert in turn."""
    for row, weight, place in zip(rows.split(counts), weights, out.split(counts), strict=True):
        if len(row):
            torch.mm(row, weight.T, out=place)


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
