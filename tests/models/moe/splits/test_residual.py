import torch

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.residual import most_wanted, split


def test_rounds_of_the_most_wanted() -> None:
    """Both experts want neurons 1 and 2; in the next round neuron 0 is wanted by one, as 3 and 4 are."""
    score = torch.tensor([[5.0, 9.0, 8.0, 1.0, 0.0], [0.0, 9.0, 8.0, 5.0, 4.0]])
    assert most_wanted(score, 0, (2, 2)).tolist() == []
    assert most_wanted(score, 1, (2, 2)).tolist() == [1]
    assert most_wanted(score, 2, (2, 2)).tolist() == [1, 2]
    assert most_wanted(score, 3, (1, 1)).tolist() == [0, 1, 2]


def test_exclusive_experts_or_overlapping_ones(ffn_input) -> None:
    fields = {"num_experts": 5, "num_shared": 2, "split": "residual", "clusters": "tokens"}
    exclusive = split(ffn_input(MoEConfig(**fields)))
    assert exclusive.order.sort().values.tolist() == list(range(50))
    overlapping = split(ffn_input(MoEConfig(**fields, overlap=True)))
    assert torch.equal(overlapping.shared, exclusive.shared)
    assert overlapping.sizes == exclusive.sizes == (10, 10, 10)
    assert not set(overlapping.shared.tolist()) & set(torch.cat(overlapping.experts).tolist())
