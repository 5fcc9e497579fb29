"""Mixtrals that the scripts of Unified MoE Compression made smaller (arXiv 2406.02500); none was published.

Expert Drop, Layer Drop and Block Drop write whole folders that call themselves "mixtral". Names of tensors are those of
a Mixtral; what is gone is not there. The configuration says it by block:

    num_local_experts   how many experts, -1 for a block without FFN and its norm
    layer_experts_idx   which ones of the model before, null for such a block
    gate_num_experts    rows of the router, where those of dropped experts were kept: they come last, and lead nowhere
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..hub.loading import assembled
from .checkpoint import Built, Checkpoint
from .decoders import required

TITLE = "Expert, Layer and Block Drop, CASE-Lab-UMD/Unified-MoE-Compression"
COUNTS = {"mixtral": "num_local_experts", "deepseek": "n_routed_experts", "qwen2_moe": "num_experts"}
"""By model type the key that becomes a list."""
FIELDS = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act"),
    *("num_key_value_heads", "max_position_embeddings", "initializer_range", "rms_norm_eps", "rope_theta"),
    *("sliding_window", "attention_dropout", "num_experts_per_tok", "router_aux_loss_coef", "tie_word_embeddings"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "use_cache"),
)
"""What is handed to the class of transformers; the scripts write down much else that it does not heed."""
ATTENTION = tuple(f"self_attn.{part}_proj.weight" for part in "qkvo")
REMOVED = -1


def fits(checkpoint: Checkpoint) -> bool:
    """By a list in the place of a number of experts, or by the numbers of the experts that stayed."""
    fields = checkpoint.config
    counts = fields.get(COUNTS.get(fields.get("model_type", ""), ""))
    return isinstance(counts, list) or "layer_experts_idx" in fields


def build(checkpoint: Checkpoint) -> Built:
    """A Mixtral of transformers with fewer experts or FFNs.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, contradicts itself, or is of another family than Mixtral.
    """
    if checkpoint.config.get("model_type") != "mixtral":
        raise ModelError(
            f"{checkpoint.place} is a trimmed {checkpoint.config.get('model_type')!r}: only Mixtral is known here"
        )
    counts = _counts(checkpoint)
    rows = _rows(checkpoint, counts)
    tensors = {name: checkpoint.take(name) for name in ("model.embed_tokens.weight", "model.norm.weight")}
    if not checkpoint.config.get("tie_word_embeddings", False):
        tensors["lm_head.weight"] = checkpoint.take("lm_head.weight")
    for index, (count, row_count) in enumerate(zip(counts, rows, strict=True)):
        stem = f"model.layers.{index}"
        kept = ["input_layernorm.weight", *ATTENTION]
        if count != REMOVED:
            kept.append("post_attention_layernorm.weight")
            tensors |= _mixture(checkpoint, stem, count, row_count)
        tensors |= {f"{stem}.{name}": checkpoint.take(f"{stem}.{name}") for name in kept}
    return Built(_model(checkpoint, counts, rows, tensors))


def _counts(checkpoint: Checkpoint) -> list[int]:
    """Experts of each block."""
    blocks = required(checkpoint, "num_hidden_layers")
    counts = required(checkpoint, "num_local_experts")
    if not isinstance(counts, list):
        counts = [counts] * blocks
    stayed = checkpoint.config.get("layer_experts_idx")
    listed = counts
    if stayed is not None:
        listed = [REMOVED if experts is None else len(experts) for experts in stayed]
    if len(counts) != blocks or listed != counts:
        raise ModelError(
            f"{checkpoint.place} says num_local_experts={counts} and layer_experts_idx of {listed} experts for its "
            f"{blocks} blocks: these do not fit each other"
        )
    _check(checkpoint, counts)
    return counts


def _check(checkpoint: Checkpoint, counts: Sequence[Any]) -> None:
    if 0 in counts:
        raise ModelError(
            f"block {counts.index(0)} of {checkpoint.place} has no expert: the official code then adds the norm of its "
            "input to the input, which cannot be said here"
        )
    if not all(isinstance(count, int) and count >= REMOVED for count in counts) or max(counts) < 1:
        raise ModelError(f"{checkpoint.place} says num_local_experts={counts}: -1 for no mixture, or how many experts")


def _rows(checkpoint: Checkpoint, counts: Sequence[int]) -> list[int]:
    """Rows of the router of each block."""
    given = checkpoint.config.get("gate_num_experts")
    if given is None:
        return list(counts)
    if not isinstance(given, list):
        given = [given] * len(counts)
    known = {row_count for row_count, count in zip(given, counts, strict=False) if count != REMOVED}
    if len(given) != len(counts) or len(known) != 1:
        raise ModelError(
            f"{checkpoint.place} says gate_num_experts={given}: a router that keeps the rows of dropped experts has as "
            "many in every block"
        )
    return given


def _mixture(checkpoint: Checkpoint, stem: str, count: int, rows: int) -> dict[str, Tensor]:
    """Router and experts of a block; a table where the router has more rows than there are experts."""
    width = required(checkpoint, "hidden_size")
    size = required(checkpoint, "intermediate_size")
    inward = []
    outward = []
    for expert in range(count):
        name = f"{stem}.block_sparse_moe.experts.{expert}"
        gate_up = [checkpoint.take(f"{name}.{part}.weight", size, width) for part in ("w1", "w3")]
        inward.append(torch.cat(gate_up))
        outward.append(checkpoint.take(f"{name}.w2.weight", width, size))
    made = {f"{stem}.mlp.gate.weight": checkpoint.take(f"{stem}.block_sparse_moe.gate.weight", rows, width)}
    experts = f"{stem}.mlp.experts"
    if "gate_num_experts" in checkpoint.config:
        # One entry more than rows: an index behind the last one stands for no expert.
        made[f"{experts}.table"] = torch.tensor([*range(count), *[-1] * (rows - count + 1)])
        experts = f"{experts}.base_layer"
    made[f"{experts}.gate_up_proj"] = torch.stack(inward)
    made[f"{experts}.down_proj"] = torch.stack(outward)
    return made


def _model(checkpoint: Checkpoint, counts: list[int], rows: list[int], tensors: dict[str, Tensor]) -> Any:
    import transformers
    from transformers.models.mixtral.modeling_mixtral import MixtralRotaryEmbedding

    fields = {name: checkpoint.config[name] for name in FIELDS if name in checkpoint.config}
    fields["num_local_experts"] = max(rows)
    fields["num_experts_per_tok"] = min(required(checkpoint, "num_experts_per_tok"), max(rows))
    config = transformers.MixtralConfig(**fields)
    for name, value in MixtralRotaryEmbedding(config).named_buffers():
        tensors[f"model.rotary_emb.{name}"] = value
    recipe: dict[str, Any] = {"model": {"room": None, "class": "MixtralForCausalLM", "changed": False}}
    recipe |= _parts(checkpoint.config, counts, rows)
    return assembled(recipe, config, tensors, None, f"{checkpoint.place} does not fit its config.json")


def _parts(fields: Mapping[str, Any], counts: list[int], rows: list[int]) -> dict[str, Any]:
    """What `hub.parts` needs to know of removed FFNs and of experts."""
    parts: dict[str, Any] = {}
    removed = [index for index, count in enumerate(counts) if count == REMOVED]
    if removed:
        parts["removed"] = {"mlp": removed, "attention": []}
    tables = "gate_num_experts" in fields
    there = [index for index, count in enumerate(counts) if count != REMOVED]
    if tables or len({counts[index] for index in there}) > 1:
        blocks = {str(index): [counts[index], rows[index] if tables else 0, 0] for index in there}
        parts["compression"] = {"blocks": blocks}
    return parts
