from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits import SplitInput, partition
from sparsebench.models.moe.splits.by_importance import deal, top
from sparsebench.models.moe.splits.residual import most_wanted
from sparsebench.models.moe.splits.token_clusters import document_labels

Input = Callable[..., SplitInput]


def slow_deal(score: Tensor, pool: list[int], sizes: list[int]) -> list[list[int]]:
    """The rule itself: look for the best free pair, over and over; equals replace earlier experts."""
    free, experts = set(pool), [[] for _ in sizes]
    while free:
        best = None
        for expert, neurons in enumerate(experts):
            for neuron in sorted(free):
                if len(neurons) == sizes[expert]:
                    continue
                value = score[expert, neuron].item()
                if best is None or value > best[0] or (value == best[0] and expert > best[1]):
                    best = (value, expert, neuron)
        assert best is not None
        experts[best[1]].append(best[2])
        free.remove(best[2])
    return [sorted(neurons) for neurons in experts]


def slow_top(score: Tensor, pool: list[int], sizes: list[int]) -> list[list[int]]:
    return [sorted(sorted(pool, key=lambda i: -row[i].item())[:m]) for row, m in zip(score, sizes, strict=True)]


def slow_most_wanted(score: Tensor, count: int, sizes: list[int]) -> list[int]:
    shared: list[int] = []
    while len(shared) < count:
        pool = [neuron for neuron in range(score.shape[1]) if neuron not in shared]
        lists = slow_top(score, pool, sizes)
        wanted = {neuron: sum(neuron in row for row in lists) for neuron in pool}
        best = [neuron for neuron in pool if wanted[neuron] == max(wanted.values())]
        shared += best[: count - len(shared)]
    return sorted(shared)


def drawn(seed: int, experts: int, hidden: int, tied: bool) -> Tensor:
    score = torch.rand(experts, hidden, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (score * 4).floor() if tied else score


CASES = {
    "seed": st.integers(0, 10_000),
    "experts": st.integers(1, 5),
    "size": st.integers(1, 5),
    "count": st.integers(1, 6),
    "tied": st.booleans(),
}


@given(**CASES)
def test_greedy_deal(seed: int, experts: int, size: int, count: int, tied: bool) -> None:
    """`count` neurons are not in the pool; the first expert is one larger."""
    sizes = [size + 1] + [size] * (experts - 1)
    score = drawn(seed, experts, sum(sizes) + count, tied)
    pool = np.random.default_rng(seed).permutation(score.shape[1])[count:]
    found = deal(score, torch.from_numpy(np.sort(pool)), sizes)
    assert [expert.tolist() for expert in found] == slow_deal(score, pool.tolist(), sizes)


def test_ties_of_the_deal() -> None:
    found = deal(torch.ones(3, 6), torch.arange(6), [2, 2, 2])
    assert [expert.tolist() for expert in found] == [[4, 5], [2, 3], [0, 1]], "later experts, lower neurons"


@given(**CASES)
def test_shared_block_of_the_residual_split(seed: int, experts: int, size: int, count: int, tied: bool) -> None:
    sizes = [size + 1] + [size] * (experts - 1)
    score = drawn(seed, experts, sum(sizes) + count, tied)
    assert most_wanted(score, count, sizes).tolist() == slow_most_wanted(score, count, sizes)


def brute_scores(inp: SplitInput, label: Tensor, count: int) -> Tensor:
    """Mean of |h dL/dh| over the tokens of each cluster (over all tokens where there are none)."""
    assert inp.sample is not None and inp.sample.dh is not None
    magnitude = (inp.sample.h * inp.sample.dh).abs()
    return torch.stack([magnitude[label == j if (label == j).any() else slice(None)].mean(0) for j in range(count)])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("clusters", ["documents", "tokens"])
@pytest.mark.parametrize("split", ["gradient", "gradient_share", "residual", "residual_overlap"])
def test_whole_construction(seed: int, clusters: str, split: str, ffn_input: Input) -> None:
    name, _, overlap = split.partition("_overlap")
    shared_blocks = int(name == "residual") * 2
    config = MoEConfig(
        split=name if not overlap else "residual",
        overlap=split == "residual_overlap",
        num_shared=shared_blocks,
        clusters=clusters,
        seed=seed,
    )
    inp = ffn_input(config, seed=seed)
    parts = partition(inp)
    if clusters == "tokens":
        assert parts.centroids is not None and parts.centroids.shape == (config.num_routed, 12)
        assert inp.sample is not None
        label = torch.stack([(parts.centroids @ x).argmax() for x in inp.sample.x])
    else:
        assert parts.centroids is None
        label = document_labels(inp)
    score, sizes = brute_scores(inp, label, config.num_routed), list(inp.expert_sizes)
    shared = slow_most_wanted(score, inp.shared_size, sizes)
    pool = [neuron for neuron in range(50) if neuron not in shared]
    fill = slow_top if split in ("gradient_share", "residual_overlap") else slow_deal
    assert parts.shared.tolist() == shared
    assert [expert.tolist() for expert in parts.experts] == fill(score, pool, sizes)


def test_top_lists_break_ties_by_index() -> None:
    assert [found.tolist() for found in top(torch.ones(2, 5), torch.tensor([1, 3, 4]), [2, 1])] == [[1, 3], [1]]
