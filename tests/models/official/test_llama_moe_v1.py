"""What configurations of LLaMA-MoE v1 may say. The numbers are compared in `oracles/test_official_layouts.py`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.router import LinearRouter
from sparsebench.models.official import from_official

from .folders import V1, configured, rewritten, say

STEM = "model.layers.{}.mlp.gate"


def test_a_linear_gate_without_noise_and_balance(tmp_path: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        for index in range(2):
            del tensors[f"{STEM.format(index)}.gate_network.2.weight"]
            del tensors[f"{STEM.format(index)}.weight_noise.weight"]
            weight = tensors.pop(f"{STEM.format(index)}.gate_network.0.weight")
            tensors[f"{STEM.format(index)}.gate_network.weight"] = weight

    folder = rewritten(V1, tmp_path, change)
    say(folder, gate_network="linear", gate_add_noise=False, gate_use_balance=False)
    model: Any = from_official(folder)
    router = model.model.layers[1].mlp.router
    assert isinstance(router, LinearRouter) and router.noise is None
    assert model.model.layers[1].mlp.config.balance == "none"


def test_a_scale_for_each_block(tmp_path: Path) -> None:
    model: Any = from_official(configured(V1, tmp_path, score_scale_factor=[4.0, 2.0]))
    assert [layer.mlp.scale for layer in model.model.layers] == [4.0, 2.0]


def test_frequencies_in_the_file(tmp_path: Path) -> None:
    """Published files may hold them; they follow from the configuration."""
    name = "model.layers.1.self_attn.rotary_emb.inv_freq"
    model: Any = from_official(rewritten(V1, tmp_path, lambda tensors: tensors.update({name: torch.ones(4)})))
    assert model.model.rotary_emb.inv_freq[1] != 1


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"gate_type": "SwitchBalancedGate"}, "gate_type='SwitchBalancedGate'"),
        ({"add_weight_norm": True}, "add_weight_norm=True"),
        ({"gate_network": "deep"}, "'mlp' and 'linear'"),
        ({"size_experts": [[6] * 8]}, "not a list of 8 sizes for each of 2 blocks"),
        ({"size_experts": None, "intermediate_size": 47}, "do not divide"),
    ],
    ids=str,
)
def test_what_is_not_known(says: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        from_official(configured(V1, tmp_path, **says))
