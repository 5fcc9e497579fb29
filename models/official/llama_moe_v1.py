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
from .decoders import ATTENTION, NORMS, decoder, experts, ffn_recipe, llama_config, mixtures, named, outside

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
EXPERTS = "calculator.experts.weight_{part}.{expert}"
PARTS = ("gate", "up", "down")
UNKNOWN = (
    "which neurons of the dense model an expert has: they are numbered as the experts hold them",
    "how the neurons were split: noted as random, as of the published models",
)


def build(checkpoint: Checkpoint) -> Built:
    """A Llama with a mixture in each block.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or says what no published checkpoint does.
    """
    checkpoint.check_values(KNOWN)
    sizes = sizes_of(checkpoint, "intermediate_size")
    config = router_of(checkpoint, "llama_moe_v1_2of8")
    tensors = unmixed(checkpoint, len(sizes))
    blocks = {}
    for index, expert_sizes in enumerate(sizes):
        stem = f"model.layers.{index}.mlp"
        tensors |= named(stem, routed(checkpoint, stem, config, expert_sizes))
        tensors[f"{stem}.neurons"] = torch.arange(sum(expert_sizes))
        blocks[index] = ffn_recipe(config, expert_sizes, scale_of(checkpoint, index))
    llama = llama_config(checkpoint, FOREIGN, intermediate_size=sum(sizes[0]))
    return Built(decoder(checkpoint, "LlamaForCausalLM", llama, mixtures(blocks), tensors), UNKNOWN)


def sizes_of(checkpoint: Checkpoint, whole: str, suffix: str = "") -> list[list[int]]:
    """Neurons of each expert, by block.

    Args:
        checkpoint: that is read.
        whole: the key of their sum.
        suffix: of the keys that say their number and their sizes.

    Raises:
        ModelError: it does not say them.
    """
    blocks = checkpoint.required("num_hidden_layers")
    number = checkpoint.required(f"num_experts{suffix}")
    given = checkpoint.config.get(f"size_experts{suffix}")
    if given is None:
        each, rest = divmod(checkpoint.required(whole), number)
        if rest:
            raise ModelError(f"{checkpoint.place} does not say size_experts, and {number} do not divide its neurons")
        given = [[each] * number] * blocks
    if len(given) != blocks or any(len(row) != number for row in given):
        raise ModelError(
            f"size_experts of {checkpoint.place} is not a list of {number} sizes for each of {blocks} blocks"
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
    number = checkpoint.required("num_experts") + shared
    top_k = checkpoint.required("num_selects")
    return preset(name, faithful=True, num_experts=number, num_shared=shared, top_k=top_k, **changes)


def scale_of(checkpoint: Checkpoint, index: int, key: str = "score_scale_factor") -> float:
    """The factor of a block's output: one for all blocks, or a list."""
    given = checkpoint.config.get(key, 1.0)
    return float(given[index] if isinstance(given, Sequence) else given)


def unmixed(checkpoint: Checkpoint, blocks: int) -> dict[str, Tensor]:
    """All tensors but those of the mixtures, by our names."""
    for index in range(blocks):
        checkpoint.drop(f"model.layers.{index}.self_attn.rotary_emb.inv_freq")
    return outside(checkpoint, [(*ATTENTION, *NORMS)] * blocks)


def routed(checkpoint: Checkpoint, stem: str, config: MoEConfig, sizes: Sequence[int]) -> dict[str, Tensor]:
    """Router and experts of a block, by our names.

    Args:
        checkpoint: that is read.
        stem: of their names there.
        config: of the router.
        sizes: neurons of each expert.
    """
    made = _gate(checkpoint, f"{stem}.gate", config)
    gate_up, down = experts(checkpoint, f"{stem}.{EXPERTS}", sizes, PARTS)
    return made | {"experts.gate_up": gate_up, "experts.down": down}


def _gate(checkpoint: Checkpoint, stem: str, config: MoEConfig) -> dict[str, Tensor]:
    number = config.num_routed
    width = checkpoint.required("hidden_size")
    made = {}
    if config.router == "mlp":
        made["router.hidden"] = checkpoint.take(f"{stem}.gate_network.0.weight", number, width)
        made["router.output"] = checkpoint.take(f"{stem}.gate_network.2.weight", number, number)
    else:
        made["router.weight"] = checkpoint.take(f"{stem}.gate_network.weight", number, width)
    if config.noise == "shazeer":
        made["router.noise"] = checkpoint.take(f"{stem}.weight_noise.weight", number, width)
    return made
