"""Qwen2-MoE, Qwen3-MoE and Qwen3-Next: softmax routing, renormalised or not, and dense blocks anywhere.

Qwen2-MoE and Qwen3-Next always have a shared block, behind a gate sigmoid(w x). With a w close to 0 the gate is 1/2,
which a factor of 2 in the block's down projection makes good; a model without one gets a shared block of one zero
neuron. (llama.cpp computes the gate as silu(w x) / (w x): w = 0 would make all of its logits NaN.)

llama.cpp always renormalises the weights of Qwen3-MoE and never those of Qwen2-MoE, whatever `norm_topk_prob` says, and
knows neither dense blocks nor windows in them.

Qwen3-Next, with full attention in every block, is Qwen3-MoE with a shared block and two differences: norms multiply by
1 + weight, and the output of attention goes through a gate, again 1/2 made good by a factor of 2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .mixture import Mixture
from .source import (
    ATTENTION_BIAS,
    DENSE_BETWEEN,
    DENSE_FIRST,
    QK_NORM,
    QKV_BIAS,
    SHARED,
    SOME_WINDOWS,
    UNNORMALISED,
    WINDOW,
    Source,
)
from .stock import Reach, Stock, Widths, experts, layer_types

_NEAR_ZERO = {torch.float16: 6e-8}
"""The smallest number of a dtype that has none as small as 1e-20, with which sigmoid is 1/2 to the last bit."""


def _config(source: Source, widths: Widths) -> dict[str, Any]:
    _, renorm, top_k, routed = source.routing
    return {
        "intermediate_size": source.model.config.intermediate_size,
        "moe_intermediate_size": widths[0],
        "num_experts": routed,
        "num_experts_per_tok": top_k,
        "norm_topk_prob": renorm,
        "mlp_only_layers": source.dense,
        "decoder_sparse_step": 1,
    }


def _window(source: Source) -> dict[str, Any]:
    if not any(source.windows):
        return {"use_sliding_window": False}
    return {"use_sliding_window": True, "sliding_window": source.model.config.sliding_window}


def _qwen2(source: Source, widths: Widths) -> dict[str, Any]:
    shared = {"shared_expert_intermediate_size": widths[1], "layer_types": layer_types(source)}
    return _config(source, widths) | _window(source) | shared | {"qkv_bias": QKV_BIAS in source.features}


def _qwen3(source: Source, widths: Widths) -> dict[str, Any]:
    return _config(source, widths) | _window(source) | {"attention_bias": ATTENTION_BIAS in source.features}


def _qwen3_next(source: Source, widths: Widths) -> dict[str, Any]:
    rope = {"partial_rotary_factor": 1.0} | source.model.config.rope_parameters
    return _config(source, widths) | {
        "shared_expert_intermediate_size": widths[1],
        "layer_types": layer_types(source),
        "attention_bias": ATTENTION_BIAS in source.features,
        "rope_parameters": rope,
    }


def _with_shared(mixture: Mixture) -> dict[str, Tensor]:
    gate, up, down = mixture.shared[:3]
    assert gate is not None
    return experts(mixture) | {
        "mlp.shared_expert.gate_proj.weight": gate,
        "mlp.shared_expert.up_proj.weight": up,
        "mlp.shared_expert.down_proj.weight": 2 * down,
        "mlp.shared_expert_gate.weight": torch.full_like(up[:1], _NEAR_ZERO.get(up.dtype, 1e-20)),
    }


def _gated_attention(source: Source, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Norm weights less 1; queries followed, head by head, by gates of 0; the output projection times 2."""
    heads = source.model.config.num_attention_heads
    changed = {}
    for name, value in state.items():
        if "q_proj" in name:
            rows = value.unflatten(0, (heads, -1))
            changed[name] = torch.cat([rows, torch.zeros_like(rows)], dim=1).flatten(0, 1)
        elif name.endswith("o_proj.weight"):
            changed[name] = 2 * value
        elif "norm" in name:
            changed[name] = value - 1
        else:
            changed[name] = value
    return changed


_ROUTING = frozenset({UNNORMALISED, DENSE_FIRST, DENSE_BETWEEN})

QWEN3_MOE = Stock(
    name="Qwen3Moe",
    runs_in={
        "transformers": Reach(_ROUTING | {QK_NORM, ATTENTION_BIAS, WINDOW}, needs=frozenset({QK_NORM})),
        "llama.cpp": Reach(frozenset({QK_NORM}), needs=frozenset({QK_NORM})),
    },
    widths=lambda source: (source.expert_width, 0),
    config=_qwen3,
    mixture=experts,
)
QWEN2_MOE = Stock(
    name="Qwen2Moe",
    runs_in={
        "transformers": Reach(_ROUTING | {SHARED, QKV_BIAS, WINDOW, SOME_WINDOWS}),
        "llama.cpp": Reach(frozenset({UNNORMALISED, SHARED, QKV_BIAS}), needs=frozenset({UNNORMALISED}), untied=True),
    },
    widths=lambda source: (source.expert_width, max(1, source.shared_width)),
    config=_qwen2,
    mixture=_with_shared,
)
QWEN3_NEXT = Stock(
    name="Qwen3Next",
    runs_in={"transformers": Reach(_ROUTING | {QK_NORM, ATTENTION_BIAS, SHARED}, needs=frozenset({QK_NORM}))},
    widths=lambda source: (source.expert_width, max(1, source.shared_width)),
    config=_qwen3_next,
    mixture=_with_shared,
    rest=_gated_attention,
)
