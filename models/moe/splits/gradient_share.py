"""Sharing-Inner of LLaMA-MoE (arXiv 2406.16554): experts may share neurons, and some neurons may be in none."""

from .base import Partition, SplitInput, set_apart
from .by_importance import scores, top


def split(inp: SplitInput) -> Partition:
    """Expert j holds the neurons that matter most to cluster j."""
    shared, rest = set_apart(inp)
    score_NF, centroids = scores(inp)
    return Partition(shared=shared, experts=top(score_NF, rest, inp.expert_sizes), centroids=centroids)
