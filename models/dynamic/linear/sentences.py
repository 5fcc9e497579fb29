"""The mean of the tokens of a sentence: what a gate sees that routes sentences."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModelError

# Shapes: B sentences, L tokens of a sentence, I inputs.


def sentence_means(x: Tensor, real: Tensor | None) -> Tensor:
    """(B, I) means over all dimensions of `x` (B, ..., I) between the first and the last.

    `real`: bool, as many as tokens; None: all. A sentence without real tokens has mean 0. In float32 or better.
    Raises `ModelError` for an input without sentences, (B, I).
    """
    if x.dim() < 3:
        raise ModelError(
            f"a linear mixture that routes sentences got an input of shape {tuple(x.shape)}: (batch, tokens, inputs) "
            "is needed; where tokens come packed, take level='token'"
        )
    x_BLI = x.reshape(len(x), -1, x.shape[-1])
    x_BLI = x_BLI.to(torch.promote_types(x.dtype, torch.float32))
    if real is None:
        return x_BLI.mean(1)
    real_BL1 = real.reshape(len(x), -1, 1).to(x_BLI.dtype)
    return (x_BLI * real_BL1).sum(1) / real_BL1.sum(1).clamp_min(1)
