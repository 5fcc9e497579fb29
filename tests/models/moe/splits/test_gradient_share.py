import torch

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.by_importance import scores
from sparsebench.models.moe.splits.gradient_share import split


def test_each_expert_has_what_matters_most_to_its_cluster(ffn_input) -> None:
    config = MoEConfig(num_experts=4, num_shared=1, split="gradient_share", clusters="tokens")
    parts = split(ffn_input(config))
    score_NF, _ = scores(ffn_input(config))
    rest = torch.tensor([neuron for neuron in range(50) if neuron not in parts.shared.tolist()])
    for expert, score_F in zip(parts.experts, score_NF, strict=True):
        assert set(expert.tolist()) == set(rest[score_F[rest].topk(len(expert)).indices].tolist())
    assert len(parts.order.unique()) < len(parts.order)  # experts share neurons here
