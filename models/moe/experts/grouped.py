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
    if weights.bias is not None or not x_TD.dtype == weights.gate_up.dtype == weights.down.dtype:
        return False
    _, width, hidden = weights.down.shape
    size = x_TD.element_size()
    return width * size % ALIGNMENT == 0 and hidden * size % ALIGNMENT == 0


def grouped_experts(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights) -> Tensor:
    """Sum over the chosen experts of weight times expert output, (T, D), with autograd. An index of N: no expert."""
    experts = len(weights.down)
    top_k = index_TK.shape[1]
    index_S = index_TK.flatten()
    # A product leaves rows beyond the last expert unwritten, forward and backward: pairs without an expert go to the
    # last one, with weight 0 and no gradient.
    weight_S = weight_TK.flatten().masked_fill(index_S == experts, 0)
    index_S = index_S.clamp(max=experts - 1)
    sorted_S, order_S = index_S.sort(stable=True)
    # The row behind the last one of each expert, found on the device: counting there would bring no number to the host.
    bounds_N = torch.arange(1, experts + 1, device=index_S.device)
    ends_N = torch.searchsorted(sorted_S, bounds_N).to(torch.int32)
    token_S = order_S // top_k
    inward_SM = F.grouped_mm(x_TD[token_S], weights.gate_up.transpose(1, 2), offs=ends_N)
    if weights.gated:
        gate_SM, up_SM = inward_SM.chunk(2, dim=-1)
        acted_SM = weights.activation(gate_SM) * up_SM
    else:
        acted_SM = weights.activation(inward_SM)
    weight_S1 = weight_S[order_S].to(acted_SM.dtype).unsqueeze(-1)
    out_SD = F.grouped_mm(acted_SM * weight_S1, weights.down.transpose(1, 2), offs=ends_N)
    return torch.zeros_like(x_TD).index_add(0, token_S, out_SD.to(x_TD.dtype))
