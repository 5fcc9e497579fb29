"""Experts on an accelerator: two grouped matrix products, no word to the host."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .eager import Weights

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons, S (token, expert) pairs.

ALIGNMENT = 16
"""`grouped_mm` wants rows of a multiple of this many bytes."""


def fits_grouped(x_TD: Tensor, weights: Weights) -> bool:
    """Whether `grouped_experts` can do these experts."""
    bytes_per_row = (size * x_TD.element_size() for size in (weights.down.shape[1], weights.down.shape[2]))
    same = x_TD.dtype == weights.gate_up.dtype == weights.down.dtype
    return same and weights.bias is None and all(size % ALIGNMENT == 0 for size in bytes_per_row)


def grouped_experts(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights) -> Tensor:
    """Sum over the chosen experts of weight times expert output, (T, D), with autograd. An index of N: no expert."""
    experts, top_k = len(weights.down), index_TK.shape[1]
    flat = index_TK.flatten()
    # A product leaves rows beyond the last expert unwritten, forward and backward: pairs without an expert go to the
    # last one, with weight 0 and no gradient.
    none = flat == experts
    flat, weight = flat.clamp(max=experts - 1), weight_TK.flatten().masked_fill(none, 0)
    sorted_index, order = flat.sort(stable=True)
    bounds = torch.arange(1, experts + 1, device=flat.device)
    ends = torch.searchsorted(sorted_index, bounds).to(torch.int32)
    inward = F.grouped_mm(x_TD[order // top_k], weights.gate_up.transpose(1, 2), offs=ends)
    if weights.gated:
        gate, up = inward.chunk(2, dim=-1)
        acted = weights.activation(gate) * up
    else:
        acted = weights.activation(inward)
    weight = weight[order].to(acted.dtype).unsqueeze(-1)
    out = F.grouped_mm(acted * weight, weights.down.transpose(1, 2), offs=ends)
    return torch.zeros_like(x_TD).index_add(0, order // top_k, out.to(x_TD.dtype))
