"""Attention of ModuleFormer: experts project queries and outputs, all share keys and values, and a stick is broken.

A query gives each key a part of what the keys after it have left (arXiv 2306.04640, section 3.2). There are no
positions: order is all there is.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.cache_utils import Cache

from ..moe.routing.choices import Routing
from .configuration import MoLMConfig
from .routers import make_router

# Shapes: B rows, T new tokens, L keys, D width, A attention size in H heads of d numbers, N experts, K of them a token,
# S pairs of a token and an expert.


class StickBreakingAttention(nn.Module):
    """y = sum over the k chosen experts of p_e O_e attend(Q_e x, keys, values); Q (N, A, D), O (N, D, A)."""

    def __init__(self, config: MoLMConfig, layer_idx: int) -> None:
        super().__init__()
        width = config.hidden_size
        size = config.attention_size
        experts = config.num_attention_experts
        self.heads = config.num_attention_heads
        self.layer_idx = layer_idx
        self.router = make_router(config, experts, config.num_attention_experts_per_tok)
        self.query = nn.Parameter(torch.empty(experts, size, width))
        self.out = nn.Parameter(torch.empty(experts, width, size))
        # One head as wide as the model: the hidden states themselves are keys and values.
        self.projects = size != width or self.heads > 1
        self.k_proj = nn.Linear(width, size) if self.projects else nn.Identity()
        self.v_proj = nn.Linear(width, size) if self.projects else nn.Identity()
        self.aux: Tensor | None = None
        """For those that look for layers with a router; the model makes the loss of all its mixtures by itself."""

    def forward(self, x_BTD: Tensor, see: Tensor, cache: Cache | None) -> tuple[Tensor, Routing]:
        """Attention output (B, T, D), and where the tokens went.

        Args:
            x_BTD: normed hidden states.
            see: (B or 1, 1, T, L) bool, which keys a token sees.
            cache: of earlier keys and values; it gets the new ones.
        """
        keys = self.k_proj(x_BTD).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        values = self.v_proj(x_BTD).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        if cache is not None:
            keys, values = cache.update(keys, values, self.layer_idx)
        x_TD = x_BTD.flatten(0, 1)
        routing = self.router(x_TD)
        pairs = routing.index.numel()
        order_S = routing.index.flatten().argsort(stable=True)
        token_S = order_S // routing.index.shape[1]
        counts = torch.bincount(routing.index.flatten(), minlength=len(self.query)).tolist()
        sorted_SA = by_expert(x_TD[token_S], counts, self.query)
        q_SA = torch.empty_like(sorted_SA).index_copy(0, order_S, sorted_SA)
        q_BTKHd = q_SA.view(*x_BTD.shape[:2], -1, self.heads, keys.shape[-1])
        mixed_BTKA = break_stick(q_BTKHd, keys, values, see).flatten(-2)
        y_SD = by_expert(mixed_BTKA.reshape(pairs, -1)[order_S], counts, self.out)
        weight_S1 = routing.weight.flatten()[order_S].unsqueeze(-1)
        out_TD = torch.zeros_like(x_TD).index_add(0, token_S, (y_SD * weight_S1.to(y_SD.dtype)).to(x_TD.dtype))
        return out_TD.view_as(x_BTD), routing

    def active_parameters(self) -> int:
        """Parameters that work on one token."""
        routed = self.query.numel() + self.out.numel()
        total = sum(parameter.numel() for parameter in self.parameters())
        return total - routed + routed * self.router.top_k // len(self.query)


def by_expert(rows_SI: Tensor, counts: list[int], weights_NOI: Tensor) -> Tensor:
    """W_e x for rows that are sorted by expert, `counts` of each: (S, O)."""
    parts = zip(rows_SI.split(counts), weights_NOI.unbind(), strict=True)
    return torch.cat([F.linear(rows, weight) for rows, weight in parts])


def break_stick(q_BTKHd: Tensor, k_BHLd: Tensor, v_BHLd: Tensor, see: Tensor) -> Tensor:
    """Stick-breaking attention.

    The weight of key j is sigmoid(z_j) times the product over all later keys l that the query sees of 1 - sigmoid(z_l),
    with z the scaled products of query and keys: the weights sum to 1 at most. They are computed in float32 or better.

    Args:
        q_BTKHd: queries, K a token.
        k_BHLd: keys.
        v_BHLd: values.
        see: (B or 1, 1, T, L) bool, which keys a token sees.

    Returns:
        (B, T, K, H, d).
    """
    q_BKHTd = q_BTKHd.permute(0, 2, 3, 1, 4)
    z = q_BKHTd @ k_BHLd.unsqueeze(1).transpose(-1, -2) / math.sqrt(k_BHLd.shape[-1])
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    unseen = ~see.unsqueeze(1)
    left = F.logsigmoid(-z).masked_fill(unseen, 0)
    # Summed from the end up to each key; the next key's sum is that of all keys after this one.
    from_here = left.flip(-1).cumsum(-1).flip(-1)
    after = F.pad(from_here[..., 1:], (0, 1))
    weight = z.sigmoid().masked_fill(unseen, 0) * after.exp()
    mixed = weight.to(v_BHLd.dtype) @ v_BHLd.unsqueeze(1)
    return mixed.permute(0, 3, 1, 2, 4)
