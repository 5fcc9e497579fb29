"""Our experts for the stock mixture-of-experts models of transformers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .dispatch import Weights, run_experts

NAME = "sparsebench"
"""What `model.set_experts_implementation` calls it."""


def register_experts() -> str:
    """Teach transformers (5 or newer) our implementation of experts.

    Afterwards `model.set_experts_implementation("sparsebench")`, or `experts_implementation="sparsebench"` in
    `from_pretrained`, makes a stock model (Mixtral, Qwen-MoE, OLMoE, ...) compute its experts here. Other layouts than
    ours (bias, transposed or interleaved weights, experts spread over processes) go to transformers' `grouped_mm`.

    Returns:
        The name that it is registered under.
    """
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    ALL_EXPERTS_FUNCTIONS.register(NAME, _forward)
    return NAME


def _forward(module: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    from transformers.integrations.moe import _default_apply_gate, grouped_mm_experts_forward

    ours = (
        module.has_gate
        and module.is_concatenated
        and type(module)._apply_gate is _default_apply_gate
        and not (module.has_bias or module.is_transposed or module.has_post_expert_norm or module._is_expert_parallel)
    )
    if not ours:
        return grouped_mm_experts_forward(module, hidden_states, top_k_index, top_k_weights)
    weights = Weights(module.gate_up_proj, module.down_proj, None, True, module.act_fn)
    return run_experts(hidden_states, top_k_index, top_k_weights, weights)
