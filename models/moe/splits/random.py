"""Independent-Random of LLaMA-MoE (arXiv 2406.16554)."""

import torch

from .base import Partition, SplitInput, cut, set_apart


def split(inp: SplitInput) -> Partition:
    """A uniform random partition of the neurons that are not shared."""
    shared, rest = set_apart(inp)
    order = rest[torch.randperm(len(rest), generator=inp.generator)]
    return Partition(shared=shared, experts=cut(order, inp.expert_sizes))
