"""What the three splits by importance have in common: the scores, top lists and the greedy deal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .base import SplitInput, ranked
from .importance import cluster_importance
from .token_clusters import document_labels, token_centroids, token_labels

# Shapes: N routed experts = clusters of tokens, F hidden neurons, P neurons to deal out, D width.


def scores(inp: SplitInput) -> tuple[Tensor, Tensor | None]:
    """Importance of each neuron to each expert's cluster (N, F), and the clusters' centroids (N, D) if they have any.

    `config.clusters`: of documents (v1), or of FFN inputs (v2), where expert j serves cluster j.
    """
    sample = inp.need_sample()
    centroids = None
    if inp.config.clusters == "tokens":
        centroids = token_centroids(inp)
        label = token_labels(sample.x, centroids)
    else:
        label = document_labels(inp)
    return cluster_importance(sample, inp.down, inp.config.importance, label, inp.config.num_routed), centroids


def top(score_NF: Tensor, pool: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """For each expert the `sizes[j]` neurons of `pool` with the highest score, ascending; ties by lower index."""
    tops = []
    for score_F, size in zip(score_NF, sizes, strict=True):
        best = ranked(score_F[pool])[:size]
        tops.append(pool[best].sort().values)
    return tuple(tops)


def deal(score_NF: Tensor, pool: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """Greedy exclusive deal of `pool` (ascending): the highest remaining (score, expert) pair, until all are full.

    Equal scores: the later expert wins, as in the released code, and for one expert the lower neuron.
    """
    score_NP = score_NF[:, pool].flip(0)  # later experts first, so that a stable sort gives them ties
    experts, neurons = score_NP.shape
    pairs = ranked(score_NP.flatten())  # a pair is one number: its row in `score_NP` times the neurons, plus its column
    expert_of = experts - 1 - pairs // neurons
    neuron_of = pairs % neurons
    room = list(sizes)
    owner = [-1] * neurons
    for expert, neuron in zip(expert_of.tolist(), neuron_of.tolist(), strict=True):
        if owner[neuron] < 0 and room[expert] > 0:
            owner[neuron] = expert
            room[expert] -= 1
    owner_P = torch.tensor(owner)
    return tuple(pool[owner_P == expert] for expert in range(experts))
