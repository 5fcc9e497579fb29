"""Neurons carried to experts by balanced transport: where DOT-MoE (arXiv 2606.01666) starts here."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Partition, SplitInput, set_apart
from .by_importance import scores
from .sinkhorn import rounded, sinkhorn

LEAST = 1e-3
"""Smallest fraction of a neuron's importance that a cluster counts as having, so that affinities are finite."""


def split(inp: SplitInput) -> Partition:
    """Greedy rounding of the plan at temperature 1 on `affinity`; the shared block, if any, is set apart before.

    At this temperature the plan is the table of importance fractions itself, scaled until it is balanced. No training:
    `conversion.transport` learns the affinities.
    """
    affinity_FN, centroids = affinity(inp)
    shared, rest = set_apart(inp)
    groups = rounded(sinkhorn(affinity_FN[rest], inp.expert_sizes, temperature=1.0), inp.expert_sizes)
    return Partition(shared=shared, experts=tuple(rest[group] for group in groups), centroids=centroids)


def affinity(inp: SplitInput) -> tuple[Tensor, Tensor | None]:
    """The logarithm of the fraction of each neuron's importance that lies in each expert's cluster (F, N).

    And the centroids of the clusters (N, D), where `config.clusters` are of FFN inputs. Our choice: the paper's note
    says only that affinities are learnt.
    """
    score_NF, centroids = scores(inp)
    total_F = score_NF.sum(0).clamp_min(torch.finfo(score_NF.dtype).tiny)
    return (score_NF / total_F).clamp_min(LEAST).log().T.contiguous(), centroids


def log_importance(inp: SplitInput) -> tuple[Tensor, Tensor | None]:
    """The logarithm of each neuron's importance in each expert's cluster (F, N), less its mean, at a spread of 1.

    And the centroids, as of `affinity`. For experts that may hold the same neurons (ToMoE): what matters everywhere is
    near to all of them.
    """
    score_NF, centroids = scores(inp)
    tiny = torch.finfo(score_NF.dtype).tiny
    log_FN = (score_NF / score_NF.mean(1, keepdim=True).clamp_min(tiny)).clamp_min(LEAST).log().T.contiguous()
    log_FN = log_FN - log_FN.mean()
    return log_FN / log_FN.std().clamp_min(tiny), centroids
