import torch

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.sequential import split


def test_pieces_of_the_order_of_the_dense_layer(ffn_input) -> None:
    """50 neurons in 4 blocks: the larger ones come first."""
    parts = split(ffn_input(MoEConfig(num_experts=4, split="sequential")))
    assert [expert.tolist() for expert in parts.experts] == [
        list(range(13)),
        list(range(13, 26)),
        list(range(26, 38)),
        list(range(38, 50)),
    ]
    assert not len(parts.shared)


def test_the_rest_keeps_its_order_where_neurons_are_shared(ffn_input) -> None:
    parts = split(ffn_input(MoEConfig(num_experts=4, num_shared=1, split="sequential")))
    rest = torch.cat(parts.experts)
    assert torch.equal(rest, rest.sort().values)
    assert sorted([*parts.shared.tolist(), *rest.tolist()]) == list(range(50))
