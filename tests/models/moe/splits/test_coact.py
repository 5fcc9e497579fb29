from itertools import combinations

import torch
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.activation_mask import top_activation_mask
from sparsebench.models.moe.splits.coact import split


def cut_weight(active: Tensor, experts) -> float:
    """Weight of the co-activation graph's edges between different experts."""
    graph = active @ active.T
    return sum(graph[a][:, b].sum().item() for a, b in combinations(experts, 2))


def test_it_cuts_less_than_a_random_split(ffn_input) -> None:
    inp = ffn_input(MoEConfig(split="coact", num_experts=5))
    active = top_activation_mask(inp.sample.h, 5)
    found = cut_weight(active, split(inp).experts)
    for seed in range(20):
        order = torch.randperm(50, generator=torch.Generator().manual_seed(seed))
        assert found < cut_weight(active, order.split(10))
