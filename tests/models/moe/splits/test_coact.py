import dataclasses

import pytest
import torch

from sparsebench.models.calibration.hooks import FFNSample
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.coact import split

CONFIG = MoEConfig(num_experts=5, split="coact")


def test_neurons_that_are_active_together_come_together(ffn_input) -> None:
    """Neuron i is strong on the tokens t with t = i (mod 5), so that the graph has five parts and no weight between."""
    group_F = torch.arange(50) % 5
    topic_T = torch.arange(40) % 5
    strength_TF = 1 + torch.rand(40, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    h_TF = (topic_T.unsqueeze(1) == group_F) * strength_TF
    inp = dataclasses.replace(ffn_input(CONFIG), sample=FFNSample(torch.zeros(40, 12), h_TF))
    for expert in split(inp).experts:
        active = group_F[expert].unique()
        assert len(active) == 1


def test_activations_are_needed(ffn_input) -> None:
    with pytest.raises(ModelError, match="split='coact' needs activations"):
        split(ffn_input(CONFIG, sampled=False))
