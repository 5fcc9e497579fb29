"""Mixtrals and Qwen2-MoEs that the scripts of Unified MoE Compression made smaller (arXiv 2406.02500); see `trimming`.

Names of tensors are those of the stock class as transformers 4 had them; what is gone is not there. None of these
folders was published. What Block Drop alone leaves is a stock folder with fewer blocks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from .checkpoint import Built, Checkpoint
from .decoders import OF_LLAMA, OF_MIXTRAL, decoder, dense_ffn, experts, outside
from .recognition import COUNTS
from .trimming import Trimmed, trimmed

FIELDS = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act"),
    *("num_key_value_heads", "max_position_embeddings", "initializer_range", "rms_norm_eps", "rope_theta"),
    *("sliding_window", "attention_dropout", "num_experts_per_tok", "router_aux_loss_coef", "tie_word_embeddings"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "use_cache"),
)
"""What is handed to the class of transformers; the scripts write down much else that it does not heed."""


class Family(NamedTuple):
    """Names of one family: its class, where its mixtures and experts lie, and what else its configuration says."""

    architecture: str
    config: str
    mixture: str
    parts: tuple[str, str, str]
    expert_size: str
    fields: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()


FAMILIES = {
    "mixtral": Family(
        architecture="MixtralForCausalLM",
        config="MixtralConfig",
        mixture="block_sparse_moe",
        parts=OF_MIXTRAL,
        expert_size="intermediate_size",
    ),
    "qwen2_moe": Family(
        architecture="Qwen2MoeForCausalLM",
        config="Qwen2MoeConfig",
        mixture="mlp",
        parts=OF_LLAMA,
        expert_size="moe_intermediate_size",
        fields=(
            *("moe_intermediate_size", "shared_expert_intermediate_size", "norm_topk_prob", "decoder_sparse_step"),
            "mlp_only_layers",
        ),
        biases=tuple(f"self_attn.{part}_proj.bias" for part in "qkv"),
    ),
}
KNOWN = {"use_sliding_window": False, "rope_scaling": None}
NOT_OPENED = (
    "what the official class computes of it: that class cannot open what it wrote (its router is made without the rows "
    "of dropped experts); here choices of a dropped expert add nothing, as in its Mixtral"
)


def build(checkpoint: Checkpoint) -> Built:
    """A model of transformers with fewer experts or FFNs.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or contradicts itself.
    """
    checkpoint.check_values(KNOWN)
    kind = checkpoint.config["model_type"]
    family = FAMILIES[kind]
    left = trimmed(checkpoint, COUNTS[kind], _mixtures(checkpoint))
    tensors = outside(checkpoint, left.inside(family.biases))
    for index, count in enumerate(left.counts):
        if count is None:
            pattern = f"model.layers.{index}.mlp.{{part}}.weight"
            tensors |= dense_ffn(checkpoint, index, pattern, checkpoint.required("intermediate_size"))
        elif index in left.rows:
            tensors |= _mixture(checkpoint, family, left, index)
    model = decoder(checkpoint, family.architecture, _config(checkpoint, left), left.parts(says_all=False), tensors)
    return Built(model, (NOT_OPENED,) if left.keeps_rows and kind == "qwen2_moe" else ())


def _mixtures(checkpoint: Checkpoint) -> list[int]:
    """Blocks that had experts."""
    fields = checkpoint.config
    step = fields.get("decoder_sparse_step", 1)
    dense = fields.get("mlp_only_layers") or ()
    blocks = range(checkpoint.required("num_hidden_layers"))
    return [index for index in blocks if index not in dense and (index + 1) % step == 0]


def _mixture(checkpoint: Checkpoint, family: Family, left: Trimmed, index: int) -> dict[str, Tensor]:
    """Router, experts and the shared expert of a block."""
    there = f"model.layers.{index}.{family.mixture}"
    ours = f"model.layers.{index}.mlp"
    width = checkpoint.required("hidden_size")
    sizes = [checkpoint.required(family.expert_size)] * (left.counts[index] or 0)
    gate_up, down = experts(checkpoint, f"{there}.experts.{{expert}}.{{part}}.weight", sizes, family.parts)
    made = left.placed(f"{ours}.experts", index, {"gate_up_proj": gate_up, "down_proj": down})
    made[f"{ours}.gate.weight"] = checkpoint.take(f"{there}.gate.weight", left.rows[index], width)
    shared = checkpoint.config.get("shared_expert_intermediate_size")
    if shared:
        names = f"{there}.shared_expert.{{part}}.weight"
        for name, value in dense_ffn(checkpoint, index, names, shared).items():
            made[name.replace(".mlp.", ".mlp.shared_expert.")] = value
        made[f"{ours}.shared_expert_gate.weight"] = checkpoint.take(f"{there}.shared_expert_gate.weight", 1, width)
    return made


def _config(checkpoint: Checkpoint, left: Trimmed) -> Any:
    import transformers

    kind = checkpoint.config["model_type"]
    family = FAMILIES[kind]
    fields = {name: checkpoint.config[name] for name in (*FIELDS, *family.fields) if name in checkpoint.config}
    fields[COUNTS[kind]] = max(left.rows.values())
    fields["num_experts_per_tok"] = min(checkpoint.required("num_experts_per_tok"), fields[COUNTS[kind]])
    return getattr(transformers, family.config)(**fields)
