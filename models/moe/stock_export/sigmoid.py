"""GLM-4-MoE and dots.llm1: sigmoid scores as in DeepSeek-V3, with ordinary grouped-query attention.

Both always have a shared block, of a whole number of experts' widths; what a model lacks is filled with zero neurons.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .features import (
    ATTENTION_BIAS,
    CHOICE_BIAS,
    COMMON,
    DENSE_FIRST,
    QK_NORM,
    QKV_BIAS,
    SHARED,
    SIGMOID,
    SOME_WINDOWS,
    UNNORMALISED,
    WINDOW,
)
from .mixture import Mixture
from .source import Source
from .stock import Reach, Stock, Widths, experts, layer_types


def _widths(source: Source) -> Widths:
    blocks = max(1, -(-source.shared_width // source.expert_width))
    return source.expert_width, blocks * source.expert_width


def _config(source: Source, widths: Widths) -> dict[str, Any]:
    _, renorm, top_k, routed = source.routing
    return {
        "intermediate_size": source.model.config.intermediate_size,
        "moe_intermediate_size": widths[0],
        "n_routed_experts": routed,
        "n_shared_experts": widths[1] // widths[0],
        "num_experts_per_tok": top_k,
        "norm_topk_prob": renorm,
        "first_k_dense_replace": len(source.dense),
        "n_group": 1,
        "topk_group": 1,
        "routed_scaling_factor": 1.0,
    }


def _glm4(source: Source, widths: Widths) -> dict[str, Any]:
    return _config(source, widths) | {
        "attention_bias": QKV_BIAS in source.features,
        "use_qk_norm": QK_NORM in source.features,
        "rope_parameters": {"partial_rotary_factor": 1.0} | source.model.config.rope_parameters,
        "num_mtp_layers": 0,
    }


def _dots1(source: Source, widths: Widths) -> dict[str, Any]:
    return _config(source, widths) | {
        "attention_bias": ATTENTION_BIAS in source.features,
        "sliding_window": source.model.config.sliding_window,
        "layer_types": layer_types(source),
    }


def _mixture(mixture: Mixture) -> dict[str, Tensor]:
    gate, up, down = mixture.shared[:3]
    assert gate is not None
    bias = mixture.choice_bias
    if bias is None:
        bias = torch.zeros(len(mixture.router))
    return experts(mixture) | {
        "mlp.gate.e_score_correction_bias": bias,
        "mlp.shared_experts.gate_proj.weight": gate,
        "mlp.shared_experts.up_proj.weight": up,
        "mlp.shared_experts.down_proj.weight": down,
    }


_ROUTING = frozenset({SIGMOID, CHOICE_BIAS, UNNORMALISED, SHARED, DENSE_FIRST})

_GLM4 = Reach(_ROUTING | COMMON | {QK_NORM, QKV_BIAS}, needs=frozenset({SIGMOID}))
_DOTS1 = Reach(_ROUTING | COMMON | {QK_NORM, ATTENTION_BIAS, WINDOW, SOME_WINDOWS}, needs=frozenset({SIGMOID, QK_NORM}))

GLM4_MOE = Stock(
    name="Glm4Moe",
    runs_in={
        "transformers": _GLM4,
        "compressed-tensors": _GLM4,
        "vllm": Reach(_ROUTING | {QK_NORM, QKV_BIAS}, needs=frozenset({SIGMOID})),
    },
    widths=_widths,
    config=_glm4,
    mixture=_mixture,
)
DOTS1 = Stock(
    name="Dots1",
    runs_in={
        "transformers": _DOTS1,
        "compressed-tensors": _DOTS1,
        "vllm": Reach(_DOTS1.has - COMMON, needs=_DOTS1.needs),
    },
    widths=_widths,
    config=_dots1,
    mixture=_mixture,
)
