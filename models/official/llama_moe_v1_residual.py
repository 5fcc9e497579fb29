"""LLaMA-MoE v1 with blocks that are always on beside its experts; no checkpoint of it was published.

    mlp.moe_layer.*                                           as `llama_moe_v1` has below `mlp`
    mlp.residual_block.calculator.experts.weight_{gate,up,down}.{block} (M', D), (M', D), (D, M')
    mlp.residual_block.gate.gate_network.weight (R, D)

The R blocks have weights, too: a softmax of this gate times `score_scale_factor_residual`. Ours are added unweighted,
so that the weights must be the same for every token, and go into the down projections: where there is one block, where
the rows of the gate are equal, or where its scores are not used (`multiply_gate_scores_residual` is false).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModelError
from . import llama_moe_v1 as routed_alone
from .checkpoint import Built, Checkpoint
from .decoders import decoder, experts, ffn_recipe, llama_config, mixtures, named

KNOWN = {**routed_alone.KNOWN, "use_weighting": False, "gate_use_softmax_residual": True}
"""What every configuration of the official scripts says."""
FOREIGN = (
    *(*routed_alone.FOREIGN, "use_weighting", "gate_use_softmax_residual", "multiply_gate_scores_residual"),
    *("intermediate_size_moe", "size_experts_residual", "score_scale_factor_residual"),
)
UNKNOWN = (
    "which neurons of the dense model an expert has: they are numbered as they stand here, always-on blocks first",
    "how the neurons were split: noted as by importance, as in the official scripts",
)
UNUSED = "what its residual gates are for: its configuration says that their scores are not used, and they are left out"


def build(checkpoint: Checkpoint) -> Built:
    """A Llama with a mixture in each block that has shared experts.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, says what no official script does, or its always-on blocks have other weights for
            each token.
    """
    checkpoint.check_values(KNOWN)
    sizes = routed_alone.sizes_of(checkpoint, "intermediate_size_moe")
    always = routed_alone.sizes_of(checkpoint, "intermediate_size_residual", "_residual")
    config = routed_alone.router_of(checkpoint, "v1_residual_14p2", len(always[0]))
    tensors = routed_alone.unmixed(checkpoint, len(sizes))
    blocks = {}
    for index, (routed, shared) in enumerate(zip(sizes, always, strict=True)):
        stem = f"model.layers.{index}.mlp"
        made = routed_alone.routed(checkpoint, f"{stem}.moe_layer", config, routed)
        names = f"{stem}.residual_block.{routed_alone.EXPERTS}"
        gate_up, down = experts(checkpoint, names, shared, routed_alone.PARTS)
        made |= {"shared.gate_up": gate_up, "shared.down": down * _weight(checkpoint, index, len(shared))}
        made["neurons"] = torch.arange(sum(routed) + sum(shared))
        tensors |= named(stem, made)
        blocks[index] = ffn_recipe(config, routed, routed_alone.scale_of(checkpoint, index), shared)
    llama = llama_config(checkpoint, FOREIGN, intermediate_size=sum(sizes[0]) + sum(always[0]))
    model = decoder(checkpoint, "LlamaForCausalLM", llama, mixtures(blocks), tensors)
    return Built(model, UNKNOWN if _is_weighted(checkpoint) else (*UNKNOWN, UNUSED))


def _is_weighted(checkpoint: Checkpoint) -> bool:
    return checkpoint.config.get("multiply_gate_scores_residual", True)


def _weight(checkpoint: Checkpoint, index: int, blocks: int) -> float:
    """What each always-on block is multiplied by."""
    name = f"model.layers.{index}.mlp.residual_block.gate.gate_network.weight"
    gate: Tensor = checkpoint.take(name, blocks, checkpoint.required("hidden_size"))
    if not _is_weighted(checkpoint):
        return 1.0
    if not torch.equal(gate, gate[:1].expand_as(gate)):
        raise ModelError(
            f"in {checkpoint.place}, {name} gives blocks that are always on another weight for each token; shared "
            "experts are added unweighted here, and a mixture has one router: this cannot be said"
        )
    return routed_alone.scale_of(checkpoint, index, "score_scale_factor_residual") / blocks
