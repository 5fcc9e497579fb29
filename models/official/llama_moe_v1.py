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
from .checkpoint import Built, Checkpoint
from .decoders import check_values, ffn_recipe, llama_of, required

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
    sizes = sizes_of(checkpoint, "intermediate_size")
    config = router_of(checkpoint, "llama_moe_v1_2of8")
    tensors = outside(checkpoint, len(sizes))
    blocks = {}
    for index, expert_sizes in enumerate(sizes):
        stem = f"model.layers.{index}.mlp"
        made = routed(checkpoint, stem, config, expert_sizes) | {"neurons": torch.arange(sum(expert_sizes))}
        tensors |= {f"{stem}.{name}": value for name, value in made.items()}
        blocks[index] = ffn_recipe(config, expert_sizes, scale_of(checkpoint, index))
    model = llama_of(checkpoint, sum(sizes[0]), FOREIGN, blocks, {}, tensors)
    return Built(model, UNKNOWN)


def sizes_of(checkpoint: Checkpoint, whole: str, suffix: str = "") -> list[list[int]]:
    """Neurons of each expert, by block.

    Args:
        checkpoint: that is read.
        whole: the key of their sum.
        suffix: of the keys that say their number and their sizes.

    Raises:
        ModelError: it does not say them.
    """
    blocks = required(checkpoint, "num_hidden_layers")
    experts = required(checkpoint, f"num_experts{suffix}")
    given = checkpoint.config.get(f"size_experts{suffix}")
    if given is None:
        each, rest = divmod(required(checkpoint, whole), experts)
        if rest:
            raise ModelError(f"{checkpoint.place} does not say size_experts, and {experts} do not divide its neurons")
        given = [[each] * experts] * blocks
    if len(given) != blocks or any(len(row) != experts for row in given):
        raise ModelError(
            f"size_experts of {checkpoint.place} is not a list of {experts} sizes for each of {blocks} blocks"
        )
    return given


def router_of(checkpoint: Checkpoint, name: str, shared: int = 0) -> MoEConfig:
    """Router, weights and balance, as the official code computes them.

    Args:
        checkpoint: that is read.
        name: of the preset that says the rest.
        shared: blocks that are always on.

    Raises:
        ModelError: the router is of another kind.
    """
    fields = checkpoint.config
    router = fields.get("gate_network", "mlp")
    if router not in ("mlp", "linear"):
        raise ModelError(f"{checkpoint.place} says gate_network={router!r}: 'mlp' and 'linear' are known here")
    changes: dict[str, Any] = {"router": router, "noise": "none", "balance": "none"}
    if fields.get("gate_add_noise", True):
        changes["noise"] = "shazeer"
    if fields.get("gate_use_balance", True):
        changes |= {"balance": "cv2", "balance_coef": fields.get("gate_balance_loss_weight", 1e-2)}
    experts = required(checkpoint, "num_experts") + shared
    top_k = required(checkpoint, "num_selects")
    return preset(name, faithful=True, num_experts=experts, num_shared=shared, top_k=top_k, **changes)


def scale_of(checkpoint: Checkpoint, index: int, key: str = "score_scale_factor") -> float:
    """The factor of a block's output: one for all blocks, or a list."""
    given = checkpoint.config.get(key, 1.0)
    return float(given[index] if isinstance(given, Sequence) else given)


def outside(checkpoint: Checkpoint, blocks: int) -> dict[str, Tensor]:
    """Embeddings, norms, attention and head, under the names of a Llama, which are the same."""
    names = ["model.embed_tokens.weight", "model.norm.weight"]
    if not checkpoint.config.get("tie_word_embeddings", False):
        names.append("lm_head.weight")
    for index in range(blocks):
        names += [f"model.layers.{index}.{part}.weight" for part in (*OUTSIDE, *NORMS)]
        checkpoint.drop(f"model.layers.{index}.self_attn.rotary_emb.inv_freq")
    return {name: checkpoint.take(name) for name in names}


def routed(checkpoint: Checkpoint, stem: str, config: MoEConfig, sizes: Sequence[int]) -> dict[str, Tensor]:
    """Router and experts of a block, by our names.

    Args:
        checkpoint: that is read.
        stem: of their names there.
        config: of the router.
        sizes: neurons of each expert.
    """
    made = _gate(checkpoint, f"{stem}.gate", config, required(checkpoint, "hidden_size"))
    made["experts.gate_up"], made["experts.down"] = stacked(checkpoint, stem, sizes)
    return made


def stacked(checkpoint: Checkpoint, stem: str, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The experts below `stem`, filled up to the largest: gate and up (N, 2M, D), down (N, D, M)."""
    width = required(checkpoint, "hidden_size")
    most = max(sizes)
    experts: dict[str, list[Tensor]] = {"gate": [], "up": [], "down": []}
    for expert, size in enumerate(sizes):
        for part in ("gate", "up"):
            rows = checkpoint.take(f"{stem}.calculator.experts.weight_{part}.{expert}", size, width)
            experts[part].append(torch.nn.functional.pad(rows, (0, 0, 0, most - size)))
        columns = checkpoint.take(f"{stem}.calculator.experts.weight_down.{expert}", width, size)
        experts["down"].append(torch.nn.functional.pad(columns, (0, most - size)))
    gate_up = torch.cat([torch.stack(experts["gate"]), torch.stack(experts["up"])], dim=1)
    return gate_up, torch.stack(experts["down"])


def _gate(checkpoint: Checkpoint, stem: str, config: MoEConfig, width: int) -> dict[str, Tensor]:
    experts = config.num_routed
    made = {}
    if config.router == "mlp":
        made["router.hidden"] = checkpoint.take(f"{stem}.gate_network.0.weight", experts, width)
        made["router.output"] = checkpoint.take(f"{stem}.gate_network.2.weight", experts, experts)
    else:
        made["router.weight"] = checkpoint.take(f"{stem}.gate_network.weight", experts, width)
    if config.noise == "shazeer":
        made["router.noise"] = checkpoint.take(f"{stem}.weight_noise.weight", experts, width)
    return made
