from types import SimpleNamespace

import pytest
import torch

from sparsebench.models.moe.stock_export.dialects import DIALECTS, Multipliers
from sparsebench.models.moe.stock_export.features import OWN_ROTATION, PARTIAL_ROTATION

SIZES = {"hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 3}


def test_fused_matrices_of_phi3_are_taken_apart() -> None:
    state = {
        "model.layers.0.self_attn.qkv_proj.weight": torch.arange(16.0).view(16, 1),
        "model.layers.0.mlp.gate_up_proj.weight": torch.arange(6.0).view(6, 1),
        "model.norm.weight": torch.ones(8),
    }
    found = DIALECTS["phi3"].state(SimpleNamespace(**SIZES), state)
    parts = {name.split(".")[-2]: value.flatten().tolist() for name, value in found.items()}
    assert parts == {
        "q_proj": [0, 1, 2, 3, 4, 5, 6, 7],
        "k_proj": [8, 9, 10, 11],
        "v_proj": [12, 13, 14, 15],
        "gate_proj": [0, 1, 2],
        "up_proj": [3, 4, 5],
        "norm": [1] * 8,
    }


def test_norms_of_gemma_and_its_embeddings() -> None:
    state = {"model.layers.0.input_layernorm.weight": torch.zeros(2), "lm_head.weight": torch.zeros(2)}
    found = DIALECTS["gemma"].state(None, state)
    assert [value.tolist() for value in found.values()] == [[1, 1], [0, 0]]
    multipliers = DIALECTS["gemma"].multipliers(SimpleNamespace(hidden_size=64, head_dim=16))
    assert multipliers == Multipliers(8.0, 1.0, 0.25, 1.0)


def test_folding_changes_what_is_multiplied_and_nothing_else() -> None:
    names = ("embed_tokens.weight", "lm_head.weight", "layers.0.mlp.down_proj.weight", "layers.0.self_attn.o_proj.bias")
    names += ("layers.0.self_attn.q_proj.weight", "layers.0.self_attn.k_proj.weight")
    state = {f"model.{name}": torch.ones(1) for name in names}
    found = Multipliers(embedding=3.0, residual=0.5, attention=0.5, logits=4.0).folded(state, head_dim=16)
    assert [float(value) for value in found.values()] == [3, 0.25, 0.5, 0.5, 2, 1]
    assert found["model.layers.0.self_attn.k_proj.weight"] is state["model.layers.0.self_attn.k_proj.weight"]


@pytest.mark.parametrize(
    ("family", "config", "features"),
    [
        ("smollm3", {"no_rope_layers": [1, 1]}, set()),
        ("smollm3", {"no_rope_layers": [1, 0]}, {OWN_ROTATION}),
        ("phi3", {"rope_parameters": {"rope_type": "default"}}, set()),
        ("phi3", {"rope_parameters": {"partial_rotary_factor": 0.75}}, {PARTIAL_ROTATION}),
    ],
)
def test_features_by_configuration(family: str, config: dict, features: set[str]) -> None:
    assert DIALECTS[family].features(SimpleNamespace(**config)) == features
