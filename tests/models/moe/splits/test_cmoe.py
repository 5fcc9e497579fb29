import dataclasses
from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor

from sparsebench.models.calibration.hooks import FFNSample
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits import SplitInput, partition
from sparsebench.models.moe.splits.clustering import balanced_kmeans
from sparsebench.models.moe.splits.cmoe import representatives

Input = Callable[..., SplitInput]


def slow_mask(h: Tensor, count: int) -> Tensor:
    marks = torch.zeros(h.shape[1], len(h))
    for t, row in enumerate(h):
        for neuron in sorted(range(len(row)), key=lambda i: -abs(row[i].item()))[:count]:
            marks[neuron, t] = 1
    return marks


def with_activity(inp: SplitInput, h: Tensor) -> SplitInput:
    return dataclasses.replace(inp, sample=FFNSample(torch.zeros(len(h), 12, dtype=h.dtype), h))


def cut_weight(active: Tensor, experts) -> float:
    """Weight of the co-activation graph's edges between different experts."""
    graph = active @ active.T
    return sum(graph[a][:, b].sum().item() for a, b in combinations(experts, 2))


def planted(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """60 tokens, 50 neurons in 5 hidden groups; the neurons of one group are strong on a token. And the groups."""
    group = torch.randperm(50, generator=generator) % 5
    topic = torch.arange(60) % 5
    h = 0.1 * torch.randn(60, 50, generator=generator, dtype=torch.float64)
    return h + (topic.unsqueeze(1) == group) * (1 + torch.rand(60, 50, generator=generator, dtype=torch.float64)), group


@pytest.mark.parametrize("split", ["coact", "cmoe"])
@pytest.mark.parametrize("seed", range(3))
def test_neurons_of_a_topic_come_together(split: str, seed: int, ffn_input: Input) -> None:
    h, group = planted(torch.Generator().manual_seed(seed))
    parts = partition(with_activity(ffn_input(MoEConfig(split=split, num_experts=5, seed=seed)), h))
    assert all(len(set(group[expert].tolist())) == 1 for expert in parts.experts)


@pytest.mark.parametrize("seed", range(5))
def test_balanced_k_means_of_markers_cuts_the_graph(seed: int) -> None:
    """Every equal split in two of 10 neurons, by the cut and by the distances: the same order."""
    generator = torch.Generator().manual_seed(seed)
    active = (torch.rand(10, 12, generator=generator) < 0.3).double()
    halves = [list(half) for half in combinations(range(10), 5) if 0 in half]
    pairs = [(half, [i for i in range(10) if i not in half]) for half in halves]
    cuts = torch.tensor([cut_weight(active, pair) for pair in pairs])
    spread = torch.tensor(
        [sum((active[part] - active[part].mean(0)).square().sum().item() for part in pair) for pair in pairs]
    )
    torch.testing.assert_close(spread - spread[0], (cuts - cuts[0]) * 2 / 5, atol=1e-5, rtol=1e-5)
    found = cut_weight(active, balanced_kmeans(active, 2, generator).groups)
    assert found < cuts.double().mean()


def test_coactivation_split_cuts_less_than_a_random_one(ffn_input: Input) -> None:
    inp = ffn_input(MoEConfig(split="coact", num_experts=5))
    assert inp.sample is not None
    active = slow_mask(inp.sample.h, 5)
    found = cut_weight(active, partition(inp).experts)
    for seed in range(20):
        order = torch.randperm(50, generator=torch.Generator().manual_seed(seed))
        assert found < cut_weight(active, order.split(10))


def test_cmoe_shares_the_most_active(ffn_input: Input) -> None:
    inp = ffn_input(MoEConfig(split="cmoe", num_shared=2))
    assert inp.sample is not None
    active = slow_mask(inp.sample.h, 10)
    rate = active.mean(1)
    ranked = sorted(range(50), key=lambda i: -rate[i].item())
    parts = partition(inp)
    assert parts.shared.tolist() == sorted(ranked[:14])
    rest = torch.tensor(ranked[14:])
    start = torch.arange(6)  # the six that are active most often
    expected = balanced_kmeans(active[rest], 6, torch.Generator().manual_seed(0), start=start)
    assert [e.tolist() for e in parts.experts] == [sorted(rest[group].tolist()) for group in expected.groups]
    assert parts.representatives is not None
    assert all(neuron in expert for neuron, expert in zip(parts.representatives, parts.experts, strict=True))


def test_representative_is_nearest_to_the_mean() -> None:
    active = torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 1]])
    found = representatives(active, (torch.tensor([0, 1, 2]), torch.tensor([3, 4])))
    assert found.tolist() == [0, 3]
