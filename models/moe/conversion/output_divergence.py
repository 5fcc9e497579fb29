"""How far the outputs of a model that is being changed are from what they were."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Shapes: C a vocabulary, or classes.


def output_divergence(before: Tensor, now: Tensor, real: Tensor | None = None) -> Tensor:
    """KL(softmax(before) || softmax(now)) in nats, mean over tokens, in float32 or better.

    Args:
        before: logits (..., C) of the model as it was.
        now: those of the model as it is, of the same shape.
        real: which tokens count, bool (...); None: all.

    Returns:
        A scalar; both sides get a gradient.
    """
    precise = torch.promote_types(now.dtype, torch.float32)
    pair = [logits.to(precise) if real is None else logits[real].to(precise) for logits in (before, now)]
    target_TC, other_TC = (logits.flatten(0, -2).log_softmax(-1) for logits in pair)
    return F.kl_div(other_TC, target_TC, reduction="batchmean", log_target=True)
