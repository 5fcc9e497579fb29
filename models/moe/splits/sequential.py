"""Neighbouring neurons together, in the order of the dense layer (the uniform split of LLaMA-MoE v2)."""

from .base import Partition, SplitInput, cut, set_apart


def split(inp: SplitInput) -> Partition:
    """Consecutive pieces of the neurons that are not shared."""
    shared, rest = set_apart(inp)
    return Partition(shared=shared, experts=cut(rest, inp.expert_sizes))
