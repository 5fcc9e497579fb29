"""The mean cosine of pairs of vectors, over real tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ModelError

PRECISIONS = (torch.float32, torch.float64, torch.bfloat16)

# Shapes: T real tokens of all rows, B rows, L tokens of a row, D width.


def cosine(a_TD: Tensor, b_TD: Tensor) -> Tensor:
    """Cosines of vectors (T,), in their own dtype. Two zero vectors are alike (1), one is unlike any other (0)."""
    product_T = (a_TD * b_TD).sum(-1)
    norm_a_T = a_TD.norm(dim=-1)
    norm_b_T = b_TD.norm(dim=-1)
    both_zero_T = (norm_a_T == 0) & (norm_b_T == 0)
    tiny = torch.finfo(a_TD.dtype).tiny
    # One after the other: the product of two small norms would underflow.
    cosine_T = product_T / norm_a_T.clamp_min(tiny) / norm_b_T.clamp_min(tiny)
    return torch.where(both_zero_T, torch.ones_like(cosine_T), cosine_T)


class MeanCosine:
    """Takes pairs of hidden states batch by batch.

    Each cosine is computed in `dtype`, the mean in float64. In bfloat16, which the released code came to with many
    samples, cosines near 1 lie 0.004 apart, so that blocks tie. Raises `ModelError` for another dtype.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        if dtype not in PRECISIONS:
            raise ModelError(f"dtype={dtype} must be torch.float32, torch.float64 or, as released, torch.bfloat16")
        self.dtype = dtype
        self.total = 0.0
        self.tokens = 0

    def add(self, a_BLD: Tensor, b_BLD: Tensor, real_BL: Tensor | None = None) -> None:
        """Take the real tokens of a batch; None: all are. Tokens may lie in a grid, (B, H, W, D)."""
        if real_BL is None:
            real_BL = torch.ones(a_BLD.shape[:-1], dtype=torch.bool, device=a_BLD.device)
        a_TD = a_BLD[real_BL].to(self.dtype)
        b_TD = b_BLD[real_BL].to(self.dtype)
        self.total += float(cosine(a_TD, b_TD).double().sum())
        self.tokens += len(a_TD)

    def value(self, name: str) -> float:
        """The mean. Raises `ModelError`, with the name of what was measured, without tokens and for NaN or infinity."""
        if self.tokens == 0:
            raise ModelError(f"the calibration data hold no token for {name}: pass at least one unmasked token")
        if not math.isfinite(self.total):
            raise ModelError(f"hidden states at {name} are NaN or infinite on the calibration data: check the model")
        return self.total / self.tokens
