import pytest
import torch

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.by_importance import deal, scores
from sparsebench.models.moe.splits.gradient import split


@pytest.mark.parametrize("clusters", ["documents", "tokens"])
def test_exclusive_experts_by_the_greedy_deal(clusters: str, ffn_input) -> None:
    config = MoEConfig(num_experts=4, split="gradient", clusters=clusters)
    parts = split(ffn_input(config))
    score_NF, centroids = scores(ffn_input(config))
    expected = deal(score_NF, torch.arange(50), (13, 13, 12, 12))
    assert all(torch.equal(a, b) for a, b in zip(parts.experts, expected, strict=True))
    assert parts.order.sort().values.tolist() == list(range(50))
    assert (parts.centroids is None) == (centroids is None) == (clusters == "documents")
