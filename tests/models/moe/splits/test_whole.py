from collections.abc import Callable

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits import SplitInput, partition


def test_every_expert_has_all_neurons_in_their_order(ffn_input: Callable[..., SplitInput]) -> None:
    parts = partition(ffn_input(MoEConfig(num_experts=3, split="whole"), 50, sampled=False))
    assert [expert.tolist() for expert in parts.experts] == [list(range(50))] * 3
    assert not len(parts.shared) and not len(parts.missing(50))


def test_there_may_be_more_experts_than_neurons(ffn_input: Callable[..., SplitInput]) -> None:
    assert partition(ffn_input(MoEConfig(num_experts=9, split="whole"), 4, sampled=False)).sizes == (4,) * 9
