"""DeepSeekMoE (arXiv 2401.06066), as published or after Expert, Layer or Block Drop (arXiv 2406.02500, see `trimming`).

Its folders bring code of their own, which is not run: it is a Llama whose blocks but the first are mixtures,

    mlp.gate.weight (N, D), mlp.experts.{expert}.{gate,up,down}_proj.weight (M, D), (M, D), (D, M)
    mlp.shared_experts.{gate,up,down}_proj.weight (S M, D), (S M, D), (D, S M)

and weights of experts are their probabilities among all, divided by the sum of the chosen ones with `norm_topk_prob`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..moe.config import MoEConfig
from .checkpoint import Built, Checkpoint
from .decoders import decoder, dense_ffn, experts, ffn_recipe, llama_config, mixtures, named, outside
from .trimming import Trimmed, trimmed

KNOWN = {"scoring_func": "softmax", "attention_bias": False, "rope_scaling": None, "hidden_act": "silu"}
"""What every published checkpoint says."""
FOREIGN = (
    *("scoring_func", "moe_intermediate_size", "n_shared_experts", "n_routed_experts", "num_experts_per_tok"),
    *("moe_layer_freq", "first_k_dense_replace", "norm_topk_prob", "aux_loss_alpha", "seq_aux", "layer_experts_idx"),
    *("gate_num_experts", "use_cache"),
)
NO_NEURON = -1
"""Neurons of these experts come from no dense FFN."""
BY_SEQUENCE = (
    "how it is balanced in training: the official code does it for each sequence by itself (seq_aux), here the tokens "
    "of all count together"
)
FEW = (
    "what the official code computes of blocks with fewer experts than a token chooses: it gives their outputs to "
    "other tokens; here each token has those of the experts that are left"
)


def build(checkpoint: Checkpoint) -> Built:
    """A Llama with mixtures.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, contradicts itself, or says what no published checkpoint does.
    """
    checkpoint.check_values(KNOWN)
    left = trimmed(checkpoint, "n_routed_experts", _mixtures(checkpoint))
    tensors = outside(checkpoint, left.inside())
    blocks = {}
    for index, count in enumerate(left.counts):
        if count is None:
            pattern = f"model.layers.{index}.mlp.{{part}}.weight"
            tensors |= dense_ffn(checkpoint, index, pattern, checkpoint.required("intermediate_size"))
        elif index in left.rows:
            blocks[index] = _recipe(checkpoint, left, index)
            tensors |= _mixture(checkpoint, left, index)
    parts = mixtures(blocks) | left.parts(says_all=True)
    model = decoder(checkpoint, "LlamaForCausalLM", llama_config(checkpoint, FOREIGN), parts, tensors)
    return Built(model, _unknown(checkpoint, left))


def _mixtures(checkpoint: Checkpoint) -> list[int]:
    """Blocks that had experts."""
    first = checkpoint.config.get("first_k_dense_replace", 0)
    each = checkpoint.config.get("moe_layer_freq", 1)
    return [index for index in range(checkpoint.required("num_hidden_layers")) if index >= first and index % each == 0]


def _sizes(checkpoint: Checkpoint, left: Trimmed, index: int) -> tuple[list[int], list[int]]:
    """Neurons of each expert, and of the block that is always on, if there is one."""
    size = checkpoint.required("moe_intermediate_size")
    shared = checkpoint.config.get("n_shared_experts")
    return [size] * (left.counts[index] or 0), [shared * size] if shared else []


def _recipe(checkpoint: Checkpoint, left: Trimmed, index: int) -> Any:
    """Router, weights and balance, as the official code computes them."""
    fields = checkpoint.config
    sizes, shared = _sizes(checkpoint, left, index)
    top_k = min(checkpoint.required("num_experts_per_tok"), left.rows[index])
    config = MoEConfig(
        num_experts=left.rows[index] + len(shared),
        num_shared=len(shared),
        top_k=top_k,
        split="sequential",
        score="softmax_topk",
        renorm=bool(fields.get("norm_topk_prob", False)) and top_k > 1,
        scale=1.0,
        balance="switch",
        balance_coef=fields.get("aux_loss_alpha", 1e-3),
    )
    return ffn_recipe(config, sizes, 1.0, shared or None)


def _mixture(checkpoint: Checkpoint, left: Trimmed, index: int) -> dict[str, Tensor]:
    """Router, experts, and the block that is always on."""
    stem = f"model.layers.{index}.mlp"
    sizes, shared = _sizes(checkpoint, left, index)
    gate_up, down = experts(checkpoint, f"{stem}.experts.{{expert}}.{{part}}.weight", sizes)
    made = left.placed(f"{stem}.experts", index, {"gate_up": gate_up, "down": down})
    width = checkpoint.required("hidden_size")
    made[f"{stem}.router.weight"] = checkpoint.take(f"{stem}.gate.weight", left.rows[index], width)
    made[f"{stem}.neurons"] = torch.full((sum(sizes) + sum(shared),), NO_NEURON)
    if shared:
        gate_up, down = experts(checkpoint, f"{stem}.shared_experts.{{part}}.weight", shared)
        made |= named(f"{stem}.shared", {"gate_up": gate_up, "down": down})
    return made


def _unknown(checkpoint: Checkpoint, left: Trimmed) -> tuple[str, ...]:
    found: list[str] = []
    if checkpoint.config.get("seq_aux", True) and checkpoint.config.get("aux_loss_alpha", 1e-3):
        found.append(BY_SEQUENCE)
    if min(left.rows.values()) < checkpoint.required("num_experts_per_tok"):
        found.append(FEW)
    return tuple(found)
