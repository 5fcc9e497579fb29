"""How often each expert was chosen."""

from __future__ import annotations

import torch
from torch import Tensor

# Shapes: T tokens, N routed experts, K chosen experts, S = T * K choices.


def picks(index_TK: Tensor, experts: int) -> Tensor:
    """How many tokens chose each expert (N,), int64; an index of N stands for no expert."""
    # Not bincount, whose size depends on the numbers in it: a compiler would stop there.
    index_S = index_TK.flatten()
    return index_S.new_zeros(experts + 1).index_add(0, index_S, torch.ones_like(index_S))[:experts]
