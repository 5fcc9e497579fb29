"""Granite-MoE with a shared block: the one without norms of queries and keys whose output projection has a bias.

It is exact in llama.cpp too, where Qwen2-MoE is not with renormalised weights. A zero bias of the output projection
stands in for none where only queries, keys and values have biases (Qwen2).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .dialects import Multipliers
from .features import ATTENTION_BIAS, COMMON, MULTIPLIERS, QKV_BIAS, SHARED, scaled
from .mixture import Mixture
from .source import Source
from .stock import Reach, Stock, Widths


def _config(source: Source, widths: Widths) -> dict[str, Any]:
    _, _, top_k, routed = source.routing
    found = source.multipliers or Multipliers(1.0, 1.0, source.head_dim**-0.5, 1.0)
    return {
        "intermediate_size": widths[0],
        "num_local_experts": routed,
        "num_experts_per_tok": top_k,
        "shared_intermediate_size": widths[1],
        "attention_bias": bool({ATTENTION_BIAS, QKV_BIAS} & source.features),
        "embedding_multiplier": found.embedding,
        "residual_multiplier": found.residual,
        "attention_multiplier": found.attention,
        "logits_scaling": found.logits,
    }


def _mixture(mixture: Mixture) -> dict[str, Tensor]:
    gate, up, down = mixture.shared[:3]
    assert gate is not None
    shared = {"shared_mlp.input_linear.weight": torch.cat([gate, up]), "shared_mlp.output_linear.weight": down}
    return {
        "block_sparse_moe.router.weight": mixture.router,
        "block_sparse_moe.experts.gate_up_proj": mixture.gate_up,
        "block_sparse_moe.experts.down_proj": mixture.down,
    } | (shared if len(up) else {})


def _with_output_biases(source: Source, state: dict[str, Tensor]) -> dict[str, Tensor]:
    if QKV_BIAS not in source.features:
        return state
    added = {}
    for name, weight in state.items():
        if name.endswith("self_attn.o_proj.weight"):
            added[name.removesuffix("weight") + "bias"] = weight.new_zeros(len(weight))
    return state | added


_HAS = frozenset({ATTENTION_BIAS, QKV_BIAS, SHARED, MULTIPLIERS})

GRANITE_MOE = Stock(
    name="GraniteMoeShared",
    runs_in={
        "transformers": Reach(_HAS | COMMON),
        "vllm": Reach(frozenset({SHARED, MULTIPLIERS, scaled("llama3")})),
        "llama.cpp": Reach(_HAS),
    },
    widths=lambda source: (source.expert_width, source.shared_width),
    config=_config,
    mixture=_mixture,
    rest=_with_output_biases,
)
