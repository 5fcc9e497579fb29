"""Balanced entropic transport: neurons, each of mass 1, to experts of fixed sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import ModelError
from .by_importance import deal

# Shapes: F neurons, N experts.

ITERATIONS = 50
"""Pairs of normalisations; the error of the marginals falls by a constant factor with each."""


def sinkhorn(affinity_FN: Tensor, sizes: Sequence[int], temperature: float, iterations: int = ITERATIONS) -> Tensor:
    """The plan M that maximises <A, M> + temperature H(M) among those with rows of sum 1 and columns of sum `sizes`.

    M_ie = u_i exp(A_ie / temperature) v_e, with u and v from alternate normalisation of columns and rows in the log
    domain (Cuturi, arXiv 1306.0895); rows last, so that these sums are right to rounding and those of columns come near
    theirs with the iterations. Differentiable in A.

    Args:
        affinity_FN: how much each neuron belongs to each expert (F, N).
        sizes: neurons of each expert; they sum to F.
        temperature: above 0; a lower one gives harder plans and needs more iterations.
        iterations: pairs of normalisations.

    Returns:
        (F, N) in float32 or better.

    Raises:
        ModelError: sizes that do not sum to F, or a temperature that is not above 0.

    Example: `sinkhorn(torch.randn(1536, 8), (192,) * 8, 0.1).sum(0)` is near 192 everywhere.
    """
    if len(sizes) != affinity_FN.shape[1] or sum(sizes) != len(affinity_FN) or min(sizes) < 1:
        raise ModelError(f"sizes={tuple(sizes)} do not fit affinities of shape {tuple(affinity_FN.shape)}")
    if not temperature > 0:
        raise ModelError(f"temperature={temperature} must be above 0")
    log_FN = affinity_FN.to(torch.promote_types(affinity_FN.dtype, torch.float32)) / temperature
    log_size_N = log_FN.new_tensor(sizes).log()
    for _ in range(iterations):
        log_FN = log_FN - log_FN.logsumexp(0, keepdim=True) + log_size_N
        log_FN = log_FN.log_softmax(1)
    return log_FN.exp()


def rounded(plan_FN: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """The neurons of each expert, ascending, on the CPU: the greatest entry first, until all experts are full.

    Args:
        plan_FN: a plan, (F, N).
        sizes: neurons of each expert.
    """
    score_NF = plan_FN.detach().T.cpu()
    return deal(score_NF, torch.arange(len(plan_FN)), sizes)
