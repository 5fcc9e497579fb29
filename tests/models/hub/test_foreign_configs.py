"""Folders whose configuration says what the stock classes of transformers would not heed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.hub.foreign_configs import foreign_keys, refuse_foreign
from sparsebench.models.moe import MoEConfig, convert

V2 = {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_local_experts": 8, "scale_factor": 4.0}
V2 |= {"attn_experts": None, "intermediate_size_residual": None, "moe_type": "modulelist", "pretraining_tp": 1}
V2 |= {"scale_factor_attn": None, "use_attn_moe": False, "mlp_bias": False, "rope_theta": 1e4, "torch_dtype": "float32"}
CODE = {"AutoConfig": "configuration_mixtral.MixtralConfig"}
CODE |= {"AutoModelForCausalLM": "modeling_mixtral.MixtralForCausalLM"}
V1 = {"architectures": ["LlamaMoEForCausalLM"], "model_type": "llama_moe", "num_selects": 2, "score_scale_factor": 4.0}
V2_TRIMMED = {"model_type": "mixtral", "num_local_experts": [2, -1]}
OFFICIAL = {
    "v1": (V1, "LLaMA-MoE v1, .*`sparsebench import folder OUT` reads it"),
    "v2": (V2 | {"auto_map": CODE}, "LLaMA-MoE v2, .*`sparsebench import folder OUT` reads it"),
    "a list of numbers": (V2_TRIMMED, "Expert and Layer Drop, .*`sparsebench import folder OUT` reads it"),
}
"""What official folders say that the stock class does not know, and some of what it does."""
PHI3_CODE = {"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}
PUBLISHED: dict[str, dict[str, Any]] = {
    "Llama": {"model_type": "llama", "pretraining_tp": 1, "rope_theta": 5e5, "mlp_bias": False}
    | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}, "_name_or_path": "a", "torch_dtype": "bfloat16"},
    "the first Llama": {"architectures": ["LLaMAForCausalLM"], "model_type": "llama", "max_sequence_length": 2048},
    "SmolLM2": {"model_type": "llama", "is_llama_config": True, "rope_interleaved": False}
    | {"transformers.js_config": {"dtype": "q4"}},
    "Qwen2": {"model_type": "qwen2", "max_window_layers": 28, "use_mrope": False, "use_sliding_window": False},
    "Mistral": {"model_type": "mistral", "sliding_window": 4096, "torchscript": False, "pruned_heads": {}},
    "Phi-3": {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "auto_map": PHI3_CODE, "embd_pdrop": 0.0},
    "DeepSeek-V3": {"model_type": "deepseek_v3", "ep_size": 1, "moe_layer_freq": 1, "scoring_func": "sigmoid"}
    | {"topk_method": "noaux_tc", "seq_aux": True, "aux_loss_alpha": 1e-3, "quantization_config": {"a": 1}},
    "GPT-2": {"model_type": "gpt2", "n_ctx": 1024, "task_specific_params": {"a": {}}, "architectures": ["GPT2Model"]},
    "BERT": {"model_type": "bert", "position_embedding_type": "absolute", "gradient_checkpointing": False},
    "T5": {"model_type": "t5", "architectures": ["T5WithLMHeadModel"], "n_positions": 512, "output_past": True},
    "CLIP": {"model_type": "clip", "text_config": {"top_k": 50, "hidden_act": "quick_gelu", "torchscript": False}},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a value that matters": ({"model_type": "bert", "position_embedding_type": "relative_key"}, "='relative_key'"),
    "a key of a part": ({"model_type": "clip", "text_config": {"scale": 2.0}}, r"text_config\.scale=2\.0"),
    "classes of others": (
        {"model_type": "bert", "auto_map": {"AutoModel": "a/b--modeling_bert.JinaBertModel"}},
        "calls itself 'bert' but is a JinaBertModel",
    ),
    "another architecture": ({"model_type": "llama", "architectures": ["LlamaEagle"]}, "is a LlamaEagle"),
    "a type with its own code": ({"model_type": "nobody", "auto_map": {"AutoModel": "a.B"}}, "auto_map"),
    "no type": ({"hidden_size": 2}, "has no config.json that names a model_type"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configurations_pass(name: str) -> None:
    before = json.dumps(PUBLISHED[name])
    refuse_foreign(PUBLISHED[name], name)
    assert json.dumps(PUBLISHED[name]) == before


@pytest.mark.parametrize("name", [*REFUSED, *OFFICIAL])
def test_what_a_stock_class_would_ignore_is_refused(name: str) -> None:
    fields, message = (REFUSED | OFFICIAL)[name]
    with pytest.raises(ModelError, match=message):
        refuse_foreign(fields, "folder")


def test_what_transformers_writes_passes(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    families = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit")
    for family in (*families, "mixtral", "olmoe", "qwen2_moe", "qwen3_moe"):
        model: Any = build(family)
        model.config.save_pretrained(tmp_path)
        fields = json.loads((tmp_path / "config.json").read_text())
        assert foreign_keys(fields, type(model.config)) == {}, family
        assert foreign_keys(fields | {"scale": 2.0}, type(model.config)) == {"scale": 2.0}, family
        refuse_foreign(fields, family)


def test_our_own_folders_and_types_of_other_packages_pass(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    model: Any = convert(build("llama"), MoEConfig(num_experts=4))
    model.config.save_pretrained(tmp_path)
    refuse_foreign(json.loads((tmp_path / "config.json").read_text()), "ours")

    class Theirs(transformers.PreTrainedConfig):
        model_type = "theirs"

    transformers.AutoConfig.register("theirs", Theirs)
    try:
        refuse_foreign({"model_type": "theirs", "scale": 2.0}, "theirs")
    finally:
        transformers.CONFIG_MAPPING._extra_content.pop("theirs")
