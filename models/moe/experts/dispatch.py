"""Which design computes the experts."""

from __future__ import annotations

from torch import Tensor

from .eager import Weights, loop_experts

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons of an expert.


def run_experts(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights) -> Tensor:
    """Sum over the K chosen experts of weight times expert output, (T, D). An index of N stands for no expert."""
    return loop_experts(x_TD, index_TK, weight_TK, weights)


__all__ = ["Weights", "run_experts"]
