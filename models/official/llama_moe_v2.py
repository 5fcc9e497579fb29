"""LLaMA-MoE v2 (arXiv 2411.15708), whose folders call themselves "mixtral" and are more than that.

Names are those of Mixtral; further there may be one block that is always on, and attention whose heads are experts:

    block_sparse_moe.gate.weight (N, D), .experts.{expert}.w1/w3.weight (M, D), .w2.weight (D, M), .w2.bias (D,)
    mlp_residual.w1/w3.weight (M', D), .w2.weight (D, M')
    self_attn.gate.weight (N', D), .{q,k,v}_proj.{expert}.weight (rows, D)
    self_attn.o_proj.{expert}.weight (D, rows), .bias (D,)

The biases, and blocks without a mixture: `llama_moe_v2_variants`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..moe.attention.config import AttnMoEConfig
from ..moe.config import MoEConfig
from ..moe.presets import preset
from .checkpoint import Built, Checkpoint
from .decoders import (
    ATTENTION,
    NORMS,
    OF_MIXTRAL,
    decoder,
    experts,
    ffn_recipe,
    llama_config,
    mixtures,
    named,
    outside,
)
from .llama_moe_v2_variants import common_bias, dense_block, dense_blocks, left_out
from .recognition import V2_MARKS

KNOWN = {
    "moe_type": "modulelist",
    "attention_bias": False,
    "mlp_bias": False,
}
"""What every published checkpoint says."""
FOREIGN = (
    *("moe_type", "num_moe_contract_layers", "scale_factor_attn", "attn_experts", "top_k_attn", *V2_MARKS),
    *("num_local_experts", "num_experts_per_tok", "output_router_logits", "router_aux_loss_coef", "sliding_window"),
    *("router_jitter_noise", "use_layer_wise_balance", "use_cache"),
)
UNKNOWN = (
    "which neurons of the dense model an expert has: they are numbered as the experts hold them",
    "how the neurons were split: noted as sequential, with a residual block as by importance",
)
WINDOW = (
    "whether its attention was meant to see {window} tokens only, the default of Mixtral that its config.json repeats: "
    "it sees all, like the Llama that it is made of"
)


def build(checkpoint: Checkpoint) -> Built:
    """A Llama with a mixture in each block, and with attention experts if it has them.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or says what no published checkpoint does.
    """
    checkpoint.check_values(KNOWN)
    fields = checkpoint.config
    config = _config(checkpoint)
    residual = fields.get("intermediate_size_residual")
    sizes = [checkpoint.required("intermediate_size")] * checkpoint.required("num_local_experts")
    hidden = sum(sizes) + (residual or 0)
    dense = dense_blocks(checkpoint)
    number = checkpoint.required("num_hidden_layers")
    tensors = outside(checkpoint, [NORMS if config.attn else (*NORMS, *ATTENTION)] * number)
    blocks = {}
    heads = {}
    for index in range(number):
        stem = f"model.layers.{index}"
        if index in dense:
            tensors |= dense_block(checkpoint, index, hidden)
        else:
            blocks[index] = _recipe(checkpoint, config, sizes)
            tensors |= named(f"{stem}.mlp", _mixture(checkpoint, stem, sizes, residual))
        if config.attn is not None:
            heads[index] = config.attn
            tensors |= named(f"{stem}.self_attn", _attention(checkpoint, f"{stem}.self_attn", config.attn))
    biased = config.attn is not None and fields.get("add_rescale_bias", False)
    llama = llama_config(checkpoint, FOREIGN, intermediate_size=hidden, attention_bias=biased)
    model = decoder(checkpoint, "LlamaForCausalLM", llama, mixtures(blocks, heads), tensors)
    return Built(model, (*_unknown(fields), *left_out(checkpoint, dense)))


def _recipe(checkpoint: Checkpoint, config: MoEConfig, sizes: list[int]) -> Any:
    residual = checkpoint.config.get("intermediate_size_residual")
    shared = None if residual is None else [residual]
    aligned = checkpoint.config.get("add_rescale_bias", False)
    return ffn_recipe(config, sizes, float(checkpoint.required("scale_factor")), shared, aligned=aligned)


def _config(checkpoint: Checkpoint) -> MoEConfig:
    """Router, weights and balance, as the official code computes them."""
    fields = checkpoint.config
    coefficient = fields.get("router_aux_loss_coef", 1e-2)
    experts = checkpoint.required("num_local_experts")
    changes: dict[str, Any] = {"num_experts": experts, "top_k": checkpoint.required("num_experts_per_tok")}
    name = "llama_moe_v2_8top2"
    if fields.get("intermediate_size_residual") is not None:
        name = "v2_1p7top1"
        changes["num_experts"] = experts + 1
    if fields.get("use_attn_moe"):
        changes["attn"] = AttnMoEConfig(
            num_experts=checkpoint.required("attn_experts"),
            top_k=checkpoint.required("top_k_attn"),
            scale=float(fields.get("scale_factor_attn") or 1.0),
            balance="switch",
            balance_coef=coefficient,
            faithful=True,
        )
    return preset(name, faithful=True, balance_coef=coefficient, **changes)


def _mixture(checkpoint: Checkpoint, stem: str, sizes: list[int], residual: int | None) -> dict[str, Tensor]:
    """Gate, experts, and the block that is always on."""
    mixture = f"{stem}.block_sparse_moe"
    gate_up, down = experts(checkpoint, f"{mixture}.experts.{{expert}}.{{part}}.weight", sizes, OF_MIXTRAL)
    made = {
        "router.weight": checkpoint.take(f"{mixture}.gate.weight", len(sizes), checkpoint.required("hidden_size")),
        "experts.gate_up": gate_up,
        "experts.down": down,
        "neurons": torch.arange(sum(sizes) + (residual or 0)),
    }
    if residual is not None:
        gate_up, down = experts(checkpoint, f"{stem}.mlp_residual.{{part}}.weight", [residual], OF_MIXTRAL)
        made |= {"shared.gate_up": gate_up, "shared.down": down}
    if checkpoint.config.get("add_rescale_bias"):
        biases = [f"{mixture}.experts.{expert}.w2.bias" for expert in range(len(sizes))]
        made["alignment.offset"] = common_bias(checkpoint, biases, float(checkpoint.required("scale_factor")))
        made["alignment.gain"] = torch.ones_like(made["alignment.offset"])
    return made


def _attention(checkpoint: Checkpoint, stem: str, config: AttnMoEConfig) -> dict[str, Tensor]:
    """Gate and heads, by expert."""
    width = checkpoint.required("hidden_size")
    inward = []
    outward = []
    for expert in range(config.num_experts):
        rows = [checkpoint.take(f"{stem}.{part}_proj.{expert}.weight") for part in "qkv"]
        inward.append(torch.cat(rows))
        outward.append(checkpoint.take(f"{stem}.o_proj.{expert}.weight"))
    made = {
        "router.weight": checkpoint.take(f"{stem}.gate.weight", config.num_experts, width),
        "qkv": torch.stack(inward),
        "out": torch.stack(outward),
    }
    if checkpoint.config.get("add_rescale_bias"):
        biases = [f"{stem}.o_proj.{expert}.bias" for expert in range(config.num_experts)]
        made["out_bias"] = common_bias(checkpoint, biases, config.scale_value)
        # A Llama's projections have biases all together or none.
        made["qkv_bias"] = torch.zeros_like(made["qkv"][:, :, 0])
    return made


def _unknown(fields: Mapping[str, Any]) -> tuple[str, ...]:
    window = fields.get("sliding_window")
    if window and window < fields.get("max_position_embeddings", 0):
        return (*UNKNOWN, WINDOW.format(window=window))
    return UNKNOWN
