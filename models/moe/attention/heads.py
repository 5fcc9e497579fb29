"""What all attention experts do: rotate and attend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .keys_values import Seen

# Shapes: n queries, L keys, R query heads, C key/value heads, H head size.


@dataclass(frozen=True)
class Heads:
    """Sizes: number of experts, query and key/value heads of one expert, head size."""

    experts: int
    query: int
    key_value: int
    size: int


class Rope(NamedTuple):
    """Rotary position embedding (arXiv 2104.09864): cosines (tokens, H), and sines with the first half negated."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, embeddings: tuple[Tensor, Tensor], batch: int) -> Rope:
        """From tables of cosines and sines (batch or 1, length, H): one row for each token of the batch."""
        cos, sin = embeddings
        first, second = sin.chunk(2, dim=-1)
        signed = torch.cat((-first, second), dim=-1)
        return cls(
            cos.expand(batch, -1, -1).reshape(-1, cos.shape[-1]),
            signed.expand(batch, -1, -1).reshape(-1, signed.shape[-1]),
        )

    def at(self, token: Tensor) -> Rope:
        """The rows of these tokens."""
        return Rope(self.cos.index_select(0, token), self.sin.index_select(0, token))

    def rotate(self, x_nRH: Tensor) -> Tensor:
        """Rotate each pair of features that lie half a head apart."""
        other = x_nRH.roll(x_nRH.shape[-1] // 2, dims=-1)
        return torch.addcmul(x_nRH * self.cos.unsqueeze(1), other, self.sin.unsqueeze(1))


def attend(q_nRH: Tensor, seen: Seen, *, scaling: float, dropout: float) -> Tensor:
    """Grouped-query attention, (n, R H)."""
    n, _, size = q_nRH.shape
    groups, keys, _ = seen.keys.shape
    # Groups as batch, so that keys and values need no copy for each query head.
    q = q_nRH.unflatten(1, (groups, -1)).permute(1, 2, 0, 3)
    k = seen.keys.unsqueeze(1).expand(groups, q.shape[1], keys, size)
    v = seen.values.unsqueeze(1).expand(groups, q.shape[1], keys, size)
    mask = seen.mask
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(q.dtype)
    out = F.scaled_dot_product_attention(q, k, v, mask, dropout, seen.causal, scale=scaling)
    return out.permute(2, 0, 1, 3).reshape(n, -1)
