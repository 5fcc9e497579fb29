"""Which neurons are active on which tokens (the markers of CMoE, arXiv 2502.04416)."""

import torch
from torch import Tensor

# Shapes: T tokens, F hidden neurons.


def top_activation_mask(h_TF: Tensor, count: int) -> Tensor:
    """Mask (F, T) float32: 1 where |h| of the neuron is among the `count` greatest of the token, else 0."""
    size = h_TF.detach().cpu().float().abs()
    best = size.topk(min(count, size.shape[1]), dim=1).indices
    return torch.zeros_like(size).scatter_(1, best, 1.0).T.contiguous()
