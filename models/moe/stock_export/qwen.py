"""Qwen2-MoE and Qwen3-MoE: softmax routing, renormalised or not, and dense blocks anywhere.

Qwen2-MoE always has a shared block, behind a gate sigmoid(w x). With a w close to 0 the gate is 1/2, which a factor of
2 in the block's down projection makes good; a model without one gets a shared block of zero neurons. (llama.cpp
computes the gate as silu(w x) / (w x): w = 0 would make all of its logits NaN.) Queries, keys and values always get
biases, of zeros where a model has none: vLLM makes room for them in any case, and computes with what is in it.

llama.cpp always renormalises the weights of Qwen3-MoE and never those of Qwen2-MoE, whatever `norm_topk_prob` says, and
knows neither dense blocks nor windows in them.

Qwen3-Next is not written: llama.cpp does not load it without blocks of linear attention, and vLLM computes something
else without a word.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .features import (
    ATTENTION_BIAS,
    COMMON,
    DENSE_BETWEEN,
    DENSE_FIRST,
    HEAD_WIDTH,
    QK_NORM,
    QKV_BIAS,
    SHARED,
    SOME_WINDOWS,
    UNNORMALISED,
    WINDOW,
    scaled,
)
from .mixture import Mixture
from .source import Source
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
    return _config(source, widths) | _window(source) | shared | {"qkv_bias": True}


def _qwen3(source: Source, widths: Widths) -> dict[str, Any]:
    return _config(source, widths) | _window(source) | {"attention_bias": ATTENTION_BIAS in source.features}


def _with_shared(mixture: Mixture) -> dict[str, Tensor]:
    gate, up, down = mixture.shared[:3]
    assert gate is not None
    return experts(mixture) | {
        "mlp.shared_expert.gate_proj.weight": gate,
        "mlp.shared_expert.up_proj.weight": up,
        "mlp.shared_expert.down_proj.weight": 2 * down,
        "mlp.shared_expert_gate.weight": torch.full_like(up[:1], _NEAR_ZERO.get(up.dtype, 1e-20)),
    }


def _with_biases(source: Source, state: dict[str, Tensor]) -> dict[str, Tensor]:
    found = dict(state)
    for name, weight in state.items():
        stem = name.removesuffix("weight")
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")) and f"{stem}bias" not in state:
            found[f"{stem}bias"] = weight.new_zeros(len(weight))
    return found


_ANYWHERE = frozenset({UNNORMALISED, DENSE_FIRST, DENSE_BETWEEN})
_QWEN2 = Reach(_ANYWHERE | COMMON | {SHARED, QKV_BIAS, WINDOW, SOME_WINDOWS})
_QWEN3 = Reach(_ANYWHERE | COMMON | {QK_NORM, ATTENTION_BIAS, WINDOW}, needs=frozenset({QK_NORM}))

QWEN3_MOE = Stock(
    name="Qwen3Moe",
    runs_in={
        "transformers": _QWEN3,
        "compressed-tensors": _QWEN3,
        "vllm": Reach(_ANYWHERE | {QK_NORM, HEAD_WIDTH, scaled("llama3")}, needs=frozenset({QK_NORM})),
        "llama.cpp": Reach(frozenset({QK_NORM, HEAD_WIDTH}), needs=frozenset({QK_NORM})),
    },
    widths=lambda source: (source.expert_width, 0),
    config=_qwen3,
    mixture=experts,
)
QWEN2_MOE = Stock(
    name="Qwen2Moe",
    runs_in={
        "transformers": _QWEN2,
        "compressed-tensors": _QWEN2,
        "vllm": Reach(_ANYWHERE | {SHARED, QKV_BIAS, scaled("llama3")}),
        "llama.cpp": Reach(frozenset({UNNORMALISED, SHARED, QKV_BIAS}), needs=frozenset({UNNORMALISED}), untied=True),
    },
    widths=lambda source: (source.expert_width, source.shared_width or source.rows),
    config=_qwen2,
    mixture=_with_shared,
    rest=_with_biases,
)
