"""Drop-Upcycling (arXiv 2502.19261): copies of one FFN that differ, since a part of each starts at random again.

Sparse upcycling (Komatsuzaki et al., arXiv 2212.05055) makes every expert a copy of the whole FFN, so that equal
experts learn to differ by their tokens alone; that is `MoEConfig(split="whole")`. Drop-Upcycling lets a
random set of neurons of each copy forget what they knew:

    convert(model, MoEConfig(split="whole", num_experts=8, top_k=2, reinit=0.5, score="softmax_topk", balance="switch"))
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..experts.bank import ExpertBank


@torch.no_grad()
def reinitialise(bank: ExpertBank, fraction: float, generator: torch.Generator) -> list[Tensor]:
    """Draw `fraction` of the neurons of each expert again, in place; return which (ascending), expert by expert.

    The neurons are different ones in each expert. Of a neuron go its rows of the gate and up projections, its column of
    the down projection and its biases. New values are normal, with the mean and the standard deviation of those entries
    of the same matrix that they replace (section 3 of the paper, which has no biases).
    """
    chosen = []
    for expert, size in enumerate(bank.sizes):
        neurons = torch.randperm(size, generator=generator)[: round(fraction * size)].sort().values
        weights = bank.weights(expert)
        by_row = (weights.gate, weights.up, weights.down.t(), weights.gate_bias, weights.up_bias)
        for matrix in by_row:
            if matrix is not None and len(neurons):
                _redraw(matrix, neurons.to(matrix.device), generator)
        chosen.append(neurons)
    return chosen


def _redraw(matrix: Tensor, rows: Tensor, generator: torch.Generator) -> None:
    """Normal numbers in the place of these rows, with their mean and standard deviation."""
    old = matrix[rows].to(torch.promote_types(matrix.dtype, torch.float32))
    noise = torch.randn(old.shape, generator=generator).to(old)
    matrix[rows] = (old.mean() + old.std(correction=0) * noise).to(matrix.dtype)
