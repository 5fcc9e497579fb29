import torch

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.random import split


def test_a_partition_that_the_generator_draws(ffn_input) -> None:
    first, again, other = (split(ffn_input(MoEConfig(num_experts=4, seed=seed))) for seed in (1, 1, 2))
    assert torch.equal(first.order, again.order) and not torch.equal(first.order, other.order)
    assert first.order.sort().values.tolist() == list(range(50))
    assert first.sizes == (13, 13, 12, 12)


def test_every_neuron_comes_to_every_expert(ffn_input) -> None:
    """60 draws: a neuron is in the first of two experts in 30 of them, with a standard deviation of 4."""
    counts = torch.zeros(50)
    for seed in range(60):
        counts[split(ffn_input(MoEConfig(num_experts=2, seed=seed, top_k=1))).experts[0]] += 1
    assert counts.min() > 9 and counts.max() < 51
