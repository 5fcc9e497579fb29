"""Sharing-Inter of LLaMA-MoE (arXiv 2406.16554): neurons that many experts want go to the shared block.

With `clusters="tokens"`, the "gradient split plus" of v2 with a residual expert (arXiv 2411.15708).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .base import Partition, SplitInput
from .by_importance import deal, scores, top


def split(inp: SplitInput) -> Partition:
    """Fill the shared block with the most wanted neurons, then the experts from the rest.

    Experts are exclusive (greedy deal), or with `config.overlap` each takes the most important of the rest.
    """
    score_NF, centroids = scores(inp)
    shared = most_wanted(score_NF, inp.shared_size, inp.expert_sizes)
    rest = Partition(shared=shared, experts=()).missing(inp.hidden)
    fill = top if inp.config.overlap else deal
    return Partition(shared=shared, experts=fill(score_NF, rest, inp.expert_sizes), centroids=centroids)


def most_wanted(score_NF: Tensor, count: int, sizes: Sequence[int]) -> Tensor:
    """`count` neurons, ascending, taken in rounds.

    A round counts in how many experts' top lists (of `sizes[j]` neurons) each remaining neuron is, and takes those with
    the greatest count, the lowest indices first when not all fit.
    """
    pool = torch.arange(score_NF.shape[1])
    taken: list[Tensor] = []
    while count > 0:
        wanted = torch.bincount(torch.cat(top(score_NF, pool, sizes)), minlength=score_NF.shape[1])[pool]
        chosen = pool[wanted == wanted.max()][:count]
        taken.append(chosen)
        count -= len(chosen)
        pool = pool[~torch.isin(pool, chosen)]
    return torch.cat(taken).sort().values if taken else torch.empty(0, dtype=torch.int64)
