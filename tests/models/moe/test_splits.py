import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits import SPLITS, block_sizes, partition


@given(hidden=st.integers(1, 300), blocks=st.integers(1, 40))
def test_block_sizes(hidden: int, blocks: int) -> None:
    sizes = block_sizes(hidden, blocks)
    assert len(sizes) == blocks and sum(sizes) == hidden and max(sizes) - min(sizes) <= 1


@given(
    split=st.sampled_from(sorted(SPLITS)),
    hidden=st.integers(12, 200),
    num_experts=st.integers(2, 12),
    num_shared=st.integers(0, 1),
    ranked=st.booleans(),
)
def test_partition_is_disjoint_and_complete(
    split: str, hidden: int, num_experts: int, num_shared: int, ranked: bool
) -> None:
    config = MoEConfig(num_experts=num_experts, num_shared=num_shared, top_k=1, split=split)
    importance = torch.arange(hidden).float() if ranked else None
    parts = partition(hidden, config, importance, torch.Generator().manual_seed(1))
    assert sorted(parts.order.tolist()) == list(range(hidden))
    assert max(parts.sizes) - min(parts.sizes) <= 1
    if ranked:
        assert parts.shared.tolist() == list(range(hidden - len(parts.shared), hidden))


def test_random_split_depends_on_the_generator_alone() -> None:
    def draw(seed: int) -> list[int]:
        return partition(64, MoEConfig(), None, torch.Generator().manual_seed(seed)).order.tolist()

    assert draw(0) == draw(0) != draw(1)


def test_sequential_split_keeps_the_order() -> None:
    parts = partition(10, MoEConfig(num_experts=4, split="sequential"), None, torch.Generator().manual_seed(0))
    assert [expert.tolist() for expert in parts.experts] == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]


def test_equal_importance_is_ranked_by_index() -> None:
    config = MoEConfig(num_experts=4, num_shared=1, split="sequential")
    parts = partition(8, config, torch.zeros(8), torch.Generator().manual_seed(0))
    assert parts.shared.tolist() == [0, 1]


@pytest.mark.parametrize("hidden", [8, 9])
def test_shared_size(hidden: int) -> None:
    parts = partition(hidden, MoEConfig(num_experts=4, num_shared=2), None, torch.Generator().manual_seed(0))
    assert len(parts.shared) == sum(block_sizes(hidden, 4)[:2])
