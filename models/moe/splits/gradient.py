"""Neuron-independent split by importance (LLaMA-MoE v1's gradient split; "gradient split plus" of v2 without sharing).

v2 is `clusters="tokens"`, usually with `router_init="centroids"`.
"""

from .base import Partition, SplitInput, set_apart
from .by_importance import deal, scores


def split(inp: SplitInput) -> Partition:
    """Each neuron goes to one expert: the greedy deal of all (importance to cluster j, expert j) pairs."""
    shared, rest = set_apart(inp)
    score_NF, centroids = scores(inp)
    return Partition(shared=shared, experts=deal(score_NF, rest, inp.expert_sizes), centroids=centroids)
