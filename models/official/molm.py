"""MoLM (ModuleFormer, arXiv 2306.04640; IBM/ModuleFormer), also as MoE-SFT (arXiv 2406.11256) fine-tunes it.

Experts lie with their inputs first; routers ("gates") are of three kinds:

    transformer.h.{block}.attn.q_proj.experts.weight (N, D, A), .output_experts.weight (N, A, D)
    transformer.h.{block}.attn.{k,v}_proj.weight (A, D), .bias (A,)
    transformer.h.{block}.mlpf.experts.weight (N, D, M), .output_experts.weight (N, M, D)
    gate.w_gate.0.weight (G, D), .0.bias (G,), .3.weight (N, G)   or   gate.w_gate.0.weight (N, D)
    or   gate.w_gate.weight (G, D), .expert_centroids (N, G), .temperature (1,)
"""

from __future__ import annotations

from typing import Any

import torch

from ..errors import ModelError
from ..molm.configuration import MoLMConfig
from ..molm.modeling import MoLMForCausalLM
from .checkpoint import Built, Checkpoint, Place

KNOWN = {"tie_word_embeddings": False}
"""What every published checkpoint says."""
FIELDS = {
    "vocab_size": "vocab_size",
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "att_hidden": "attention_size",
    "n_att_experts": "num_attention_experts",
    "k_att": "num_attention_experts_per_tok",
    "ffd_hidden": "intermediate_size",
    "n_mlp_experts": "num_experts",
    "k_mlp": "num_experts_per_tok",
}
"""Official and our names of sizes. The official class does not heed its `layer_norm_epsilon` and `attn_pdrop`."""
CHOICES = {
    "activation_function": "hidden_act",
    "gating_size": "router_size",
    "aux_loss_weight": "balance_weight",
    "resid_pdrop": "dropout",
    "embd_pdrop": "embedding_dropout",
    "moe_pdrop": "router_dropout",
    "initializer_range": "initializer_range",
    "bos_token_id": "bos_token_id",
    "eos_token_id": "eos_token_id",
    "pad_token_id": "pad_token_id",
}
"""Likewise of what has the same default in both."""
ROUTERS = {"mlp": "mlp", "linear": "linear", "gmm": "cosine"}
GATES = {
    "mlp": {"w_gate.0.weight": "hidden", "w_gate.0.bias": "hidden_bias", "w_gate.3.weight": "output"},
    "linear": {"w_gate.0.weight": "weight"},
    "cosine": {"w_gate.weight": "projection", "expert_centroids": "centroids", "temperature": "log_sharpness"},
}
"""By our kind of router, official and our names of its tensors."""
OUTSIDE = {
    "transformer.wte.weight": "embed_tokens.weight",
    "transformer.ln_f.weight": "norm.weight",
    "transformer.ln_f.bias": "norm.bias",
    "lm_head.weight": "lm_head.weight",
}
INSIDE = {
    "ln_1": "input_layernorm",
    "ln_2": "post_attention_layernorm",
    "attn.k_proj": "self_attn.k_proj",
    "attn.v_proj": "self_attn.v_proj",
}
EXPERTS = {
    "attn.q_proj.experts.weight": "self_attn.query",
    "attn.q_proj.output_experts.weight": "self_attn.out",
    "mlpf.experts.weight": "mlp.experts.gate_up",
    "mlpf.output_experts.weight": "mlp.experts.down",
}
"""Official and our names of experts, whose matrices are transposed."""
SAMPLED = (
    "how it is trained on: the official class draws the last {number} of a token's experts at random in training, here "
    "the best are taken"
)


def build(checkpoint: Checkpoint) -> Built:
    """A `MoLMForCausalLM`.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or says what is not known here.
    """
    checkpoint.check_values(KNOWN)
    config = _config(checkpoint)
    with torch.device("meta"):
        model = MoLMForCausalLM(config)
    made = {}
    for index, layer in enumerate(model.layers):
        stem = f"transformer.h.{index}"
        for name, ours in EXPERTS.items():
            experts, rows, columns = layer.get_parameter(ours).shape
            stored = checkpoint.take(f"{stem}.{name}", experts, columns, rows)
            made[f"layers.{index}.{ours}"] = stored.transpose(1, 2).contiguous()
        checkpoint.drop(f"{stem}.attn.mask")
        checkpoint.drop(f"{stem}.attn.cum_weight")
    checkpoint.fill(model, places(config), made)
    sampled = checkpoint.config.get("sample_topk", 0)
    return Built(model.eval(), (SAMPLED.format(number=sampled),) if sampled else ())


def _config(checkpoint: Checkpoint) -> MoLMConfig:
    fields = checkpoint.config
    made: dict[str, Any] = {ours: checkpoint.required(name) for name, ours in FIELDS.items()}
    made |= {ours: fields[name] for name, ours in CHOICES.items() if name in fields}
    kind = fields.get("gate_type", "mlp")
    if kind not in ROUTERS:
        raise ModelError(f"{checkpoint.place} says gate_type={kind!r}: {', '.join(map(repr, ROUTERS))} are known here")
    made["router"] = ROUTERS[kind]
    # The official class takes anything but "mi" for the other.
    made["balance"] = "mutual_information" if fields.get("aux_loss_type", "mi") == "mi" else "switch"
    made["max_position_embeddings"] = fields.get("block_size", 512) + fields.get("history_length", 512)
    return MoLMConfig(**made)


def places(config: MoLMConfig) -> dict[str, Place]:
    """Where all tensors but those of experts come from, by our names."""
    found = {ours: Place(name) for name, ours in OUTSIDE.items()}
    shared = config.attention_size == config.hidden_size and config.num_attention_heads == 1
    for index in range(config.num_hidden_layers):
        stem = f"transformer.h.{index}"
        for name, ours in INSIDE.items():
            if shared and name.endswith("_proj"):
                continue  # the hidden states themselves are keys and values
            for leaf in ("weight", "bias"):
                found[f"layers.{index}.{ours}.{leaf}"] = Place(f"{stem}.{name}.{leaf}")
        for part, ours in (("attn.q_proj", "self_attn"), ("mlpf", "mlp")):
            for name, leaf in GATES[config.router].items():
                found[f"layers.{index}.{ours}.router.{leaf}"] = Place(f"{stem}.{part}.gate.{name}")
    return found
