"""LLaMA-MoE v1 (arXiv 2406.16554), and the fine-tuned ones of MoE-SFT (arXiv 2406.11256), which have its layout.

Each block's FFN is a gate, an MLP or linear, with weights for its noise, over experts whose sizes may differ:

    mlp.gate.gate_network.{0,2}.weight (N, D), (N, N)   or   mlp.gate.gate_network.weight (N, D)
    mlp.gate.weight_noise.weight (N, D)
    mlp.calculator.experts.weight_{gate,up,down}.{expert} (M, D), (M, D), (D, M)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..moe.config import MoEConfig
from ..moe.presets import preset
from ..moe.routing.router import NOISE_FLOOR
from .checkpoint import Checkpoint
from .decoders import check_values, ffn_recipe, llama_of, required
from .layouts import Built

TITLE = "LLaMA-MoE v1, pjlab-sys4nlp/llama-moe"
KNOWN = {
    "gate_type": "TopKBalancedNoisyGate",
    "gate_use_softmax": True,
    "gate_noise_epsilon": NOISE_FLOOR,
    "calculator_type": "UniversalCalculator",
    "multiply_gate_scores": True,
    "add_weight_norm": False,
    "attention_bias": False,
    "mlp_bias": False,
}
"""What every published checkpoint says."""
FOREIGN = (
    *(key for key in KNOWN if key not in ("attention_bias", "mlp_bias")),
    *("num_experts", "num_selects", "size_experts", "gates", "gate_network", "gate_add_noise", "gate_use_balance"),
    *("gate_balance_loss_weight", "score_scale_factor", "drop_tokens", "dropped_padding", "capacity_factor"),
    *("num_experts_residual", "intermediate_size_residual", "use_cache"),
)
OUTSIDE = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
NORMS = ("input_layernorm", "post_attention_layernorm")
UNKNOWN = (
    "which neurons of the dense model an expert has: they are numbered as the experts hold them",
    "how the neurons were split: noted as random, as of the published models",
)


def fits(checkpoint: Checkpoint) -> bool:
    """By its model type."""
    return checkpoint.config.get("model_type") == "llama_moe"


def build(checkpoint: Checkpoint) -> Built:
    """A Llama with a mixture in each block.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or says what no published checkpoint does.
    """
    check_values(checkpoint, KNOWN)
    sizes = _sizes(checkpoint)
    config = _config(checkpoint)
    tensors = _outside(checkpoint, len(sizes))
    blocks = {}
    for index, expert_sizes in enumerate(sizes):
        tensors |= _mixture(checkpoint, index, config, expert_sizes)
        blocks[index] = ffn_recipe(config, expert_sizes, _scale(checkpoint, index))
    model = llama_of(checkpoint, sum(sizes[0]), FOREIGN, blocks, {}, tensors)
    return Built(model, UNKNOWN)


def _sizes(checkpoint: Checkpoint) -> list[list[int]]:
    """Neurons of each expert, by block."""
    blocks = required(checkpoint, "num_hidden_layers")
    experts = required(checkpoint, "num_experts")
    given = checkpoint.config.get("size_experts")
    if given is None:
        each, rest = divmod(required(checkpoint, "intermediate_size"), experts)
        if rest:
            raise ModelError(f"{checkpoint.place} does not say size_experts, and {experts} do not divide its neurons")
        given = [[each] * experts] * blocks
    if len(given) != blocks or any(len(row) != experts for row in given):
        raise ModelError(
            f"size_experts of {checkpoint.place} is not a list of {experts} sizes for each of {blocks} blocks"
        )
    return given


def _config(checkpoint: Checkpoint) -> MoEConfig:
    """Router, weights and balance, as the official code computes them."""
    fields = checkpoint.config
    router = fields.get("gate_network", "mlp")
    if router not in ("mlp", "linear"):
        raise ModelError(f"{checkpoint.place} says gate_network={router!r}: 'mlp' and 'linear' are known here")
    changes: dict[str, Any] = {"router": router, "noise": "none", "balance": "none"}
    if fields.get("gate_add_noise", True):
        changes["noise"] = "shazeer"
    if fields.get("gate_use_balance", True):
        changes |= {"balance": "cv2", "balance_coef": fields.get("gate_balance_loss_weight", 1e-2)}
    experts = {"num_experts": required(checkpoint, "num_experts"), "top_k": required(checkpoint, "num_selects")}
    return preset("llama_moe_v1_2of8", faithful=True, **experts, **changes)


def _scale(checkpoint: Checkpoint, index: int) -> float:
    """The factor of a block's output: one for all blocks, or a list."""
    given = checkpoint.config.get("score_scale_factor", 1.0)
    return float(given[index] if isinstance(given, Sequence) else given)


def _outside(checkpoint: Checkpoint, blocks: int) -> dict[str, Tensor]:
    """Embeddings, norms, attention and head, under the names of a Llama, which are the same."""
    names = ["model.embed_tokens.weight", "model.norm.weight"]
    if not checkpoint.config.get("tie_word_embeddings", False):
        names.append("lm_head.weight")
    for index in range(blocks):
        names += [f"model.layers.{index}.{part}.weight" for part in (*OUTSIDE, *NORMS)]
        checkpoint.drop(f"model.layers.{index}.self_attn.rotary_emb.inv_freq")
    return {name: checkpoint.take(name) for name in names}


def _mixture(checkpoint: Checkpoint, index: int, config: MoEConfig, sizes: Sequence[int]) -> dict[str, Tensor]:
    """Gate and experts of a block."""
    width = required(checkpoint, "hidden_size")
    made = _gate(checkpoint, f"model.layers.{index}.mlp.gate", config, width)
    stem = f"model.layers.{index}.mlp.calculator.experts"
    most = max(sizes)
    experts: dict[str, list[Tensor]] = {"gate": [], "up": [], "down": []}
    for expert, size in enumerate(sizes):
        missing = most - size
        for part in ("gate", "up"):
            rows = checkpoint.take(f"{stem}.weight_{part}.{expert}", size, width)
            experts[part].append(torch.nn.functional.pad(rows, (0, 0, 0, missing)))
        columns = checkpoint.take(f"{stem}.weight_down.{expert}", width, size)
        experts["down"].append(torch.nn.functional.pad(columns, (0, missing)))
    made["experts.gate_up"] = torch.cat([torch.stack(experts["gate"]), torch.stack(experts["up"])], dim=1)
    made["experts.down"] = torch.stack(experts["down"])
    made["neurons"] = torch.arange(sum(sizes))
    return {f"model.layers.{index}.mlp.{name}": value for name, value in made.items()}


def _gate(checkpoint: Checkpoint, stem: str, config: MoEConfig, width: int) -> dict[str, Tensor]:
    experts = config.num_experts
    made = {}
    if config.router == "mlp":
        made["router.hidden"] = checkpoint.take(f"{stem}.gate_network.0.weight", experts, width)
        made["router.output"] = checkpoint.take(f"{stem}.gate_network.2.weight", experts, experts)
    else:
        made["router.weight"] = checkpoint.take(f"{stem}.gate_network.weight", experts, width)
    if config.noise == "shazeer":
        made["router.noise"] = checkpoint.take(f"{stem}.weight_noise.weight", experts, width)
    return made
