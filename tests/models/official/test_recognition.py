"""Which layout a checkpoint is of, by its configuration or by names of tensors."""

from pathlib import Path
from typing import Any

import pytest
from transformers import MixtralConfig, Qwen2MoeConfig

from sparsebench.models.official.checkpoint import read_config
from sparsebench.models.official.recognition import LAYOUTS, recognise

from .folders import RECORDED

WANTED = {
    "llama_moe_v1": "llama_moe_v1",
    "llama_moe_v1_residual": "llama_moe_v1_residual",
    **dict.fromkeys(("llama_moe_v2", "llama_moe_v2_residual", "llama_moe_v2_rescaled"), "llama_moe_v2"),
    "llama_moe_v2_attention": "llama_moe_v2",
    **dict.fromkeys(("molm", "molm_linear", "molm_gmm"), "molm"),
    **dict.fromkeys(("deepseek_trimmed", "deepseek_preserved", "deepseek_blocks"), "deepseek_moe"),
    **dict.fromkeys(("expert_drop", "expert_drop_preserved"), "expert_drop"),
    **dict.fromkeys(("qwen2_moe_trimmed", "qwen2_moe_preserved"), "expert_drop"),
    **dict.fromkeys(("graphsgpt_1w", "graphsgpt_2w", "graphsgpt_1w_c"), "graphsgpt"),
}
NAMES = {
    "od_conv": ["module.layer1.0.conv1.attention.channel_fc.weight"],
    "kernel_warehouse": ["module.warehouse_manager.weights.0"],
    "vit_npz": ["embedding/kernel", "Transformer/posembed_input/pos_embedding"],
    "graphsgpt_tuned": ["_forward_module.model.classification_heads.dense.weight"],
}


def fitting(config: dict[str, Any], names: list[str]) -> list[str]:
    return [name for name, layout in LAYOUTS.items() if layout.fits(config, names)]


def test_one_layout_fits() -> None:
    """No other one does, so that their order is of no account."""
    assert WANTED.keys() == {place.name for place in RECORDED.iterdir()}
    for folder, wanted in WANTED.items():
        config = read_config(RECORDED / folder)
        assert recognise(config) == wanted
        assert fitting(config, []) == [wanted], folder
    for wanted, names in NAMES.items():
        assert recognise({}, names) == wanted
        assert fitting({}, names) == [wanted]
    assert {*WANTED.values(), *NAMES} == LAYOUTS.keys()


@pytest.mark.parametrize("cls", [MixtralConfig, Qwen2MoeConfig])
def test_stock_models_are_in_none(cls: Any, tmp_path: Path) -> None:
    cls().save_pretrained(tmp_path)
    assert recognise(read_config(tmp_path), ["model.embed_tokens.weight"]) is None


def test_a_layout_names_its_authors() -> None:
    assert all("/" in layout.title for layout in LAYOUTS.values())
