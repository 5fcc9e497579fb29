"""What the decoders among the layouts have in common: tensors that are those of a Llama, experts, and the model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..hub.loading import assembled
from ..moe.attention.config import AttnMoEConfig
from ..moe.config import MoEConfig
from .checkpoint import Checkpoint

# Shapes: D width, N experts, M neurons of the largest expert, F of an FFN.

NOT_STOCK = ("model_type", "architectures", "auto_map", "transformers_version")
"""Keys of a `config.json` that are of the class that wrote it."""
NORMS = ("input_layernorm.weight", "post_attention_layernorm.weight")
ATTENTION = tuple(f"self_attn.{part}_proj.weight" for part in "qkvo")
"""Names within a block, in all these layouts and in ours."""
OF_LLAMA = ("gate_proj", "up_proj", "down_proj")
OF_MIXTRAL = ("w1", "w3", "w2")
"""What gate, up and down of an FFN are called."""


def outside(checkpoint: Checkpoint, inside: Sequence[Collection[str]]) -> dict[str, Tensor]:
    """Embeddings, last norm, head, and what is named of each block: the names are those of a Llama.

    Args:
        checkpoint: that is read.
        inside: names within each block.

    Returns:
        The tensors by name.

    Raises:
        ModelError: one is missing.
    """
    names = ["model.embed_tokens.weight", "model.norm.weight"]
    if not checkpoint.config.get("tie_word_embeddings", False):
        names.append("lm_head.weight")
    for index, parts in enumerate(inside):
        names += [f"model.layers.{index}.{part}" for part in parts]
    return {name: checkpoint.take(name) for name in names}


def ffn(
    checkpoint: Checkpoint, pattern: str, hidden: int, parts: Sequence[str] = OF_LLAMA
) -> tuple[Tensor, Tensor, Tensor]:
    """An FFN or expert.

    Args:
        checkpoint: that is read.
        pattern: of the names, with `{part}`.
        hidden: its neurons (F).
        parts: what gate, up and down are called.

    Returns:
        Gate and up (F, D), and down (D, F).

    Raises:
        ModelError: one is missing, or of another shape.
    """
    width = checkpoint.required("hidden_size")
    gate, up, down = (pattern.format(part=part) for part in parts)
    return (
        checkpoint.take(gate, hidden, width),
        checkpoint.take(up, hidden, width),
        checkpoint.take(down, width, hidden),
    )


def dense_ffn(
    checkpoint: Checkpoint, index: int, pattern: str, hidden: int, parts: Sequence[str] = OF_LLAMA
) -> dict[str, Tensor]:
    """The dense FFN of a block, by the names of a Llama; otherwise as `ffn`."""
    found = ffn(checkpoint, pattern, hidden, parts)
    return {f"model.layers.{index}.mlp.{ours}.weight": value for ours, value in zip(OF_LLAMA, found, strict=True)}


def experts(
    checkpoint: Checkpoint, pattern: str, sizes: Sequence[int], parts: Sequence[str] = OF_LLAMA
) -> tuple[Tensor, Tensor]:
    """Experts in one tensor each, filled up with zeros to the largest.

    Args:
        checkpoint: that is read.
        pattern: of the names, with `{part}` and `{expert}`.
        sizes: neurons of each expert.
        parts: what gate, up and down are called.

    Returns:
        Gate and up (N, 2M, D), and down (N, D, M).

    Raises:
        ModelError: a tensor is missing, or of another shape.
    """
    most = max(sizes)
    inward = []
    outward = []
    for expert, size in enumerate(sizes):
        named = pattern.replace("{expert}", str(expert))
        gate, up, down = ffn(checkpoint, named, size, parts)
        rows = [torch.nn.functional.pad(part, (0, 0, 0, most - size)) for part in (gate, up)]
        inward.append(torch.cat(rows))
        outward.append(torch.nn.functional.pad(down, (0, most - size)))
    return torch.stack(inward), torch.stack(outward)


def named(stem: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under longer names, `stem.name`."""
    return {f"{stem}.{name}": tensor for name, tensor in tensors.items()}


def ffn_recipe(
    config: MoEConfig,
    sizes: Sequence[int],
    scale: float,
    shared: Sequence[int] | None = None,
    *,
    aligned: bool = False,
) -> Any:
    """What `moe.checkpoint.build_layers` needs to know of one mixture.

    Args:
        config: of its router.
        sizes: neurons of each routed expert.
        scale: the factor of the routed output.
        shared: neurons of each block that is always on.
        aligned: whether the output has an `Alignment`.

    Returns:
        The recipe.
    """
    return {
        "config": dataclasses.asdict(config),
        "experts": list(sizes),
        "shared": None if shared is None else list(shared),
        "scale": scale,
        "aligned": aligned,
    }


def mixtures(blocks: Mapping[int, Any], attention: Mapping[int, AttnMoEConfig] | None = None) -> dict[str, Any]:
    """The part of a model that its mixtures are, for `decoder`.

    Args:
        blocks: by number of the block, the recipe of its mixture.
        attention: likewise the configuration of its attention experts.
    """
    heads = {str(index): dataclasses.asdict(found) for index, found in (attention or {}).items()}
    return {"moe": {"blocks": {str(index): found for index, found in blocks.items()}, "attention": heads}}


def llama_config(checkpoint: Checkpoint, foreign: Collection[str], **changes: Any) -> Any:
    """The configuration of a Llama.

    Args:
        checkpoint: whose configuration counts.
        foreign: keys of it that a Llama does not know; all others are handed to it.
        changes: other values.
    """
    import transformers

    given = {key: value for key, value in checkpoint.config.items() if key not in (*NOT_STOCK, *foreign)}
    return transformers.LlamaConfig(**(given | changes))


def decoder(
    checkpoint: Checkpoint, architecture: str, config: Any, parts: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Any:
    """A decoder of transformers with Llama's positions, and what rooms of this package have changed in it.

    Args:
        checkpoint: for errors.
        architecture: its class.
        config: its configuration.
        parts: by name, as `hub.parts` describes them.
        tensors: of the whole model, by our names.

    Returns:
        The model, in eval mode.

    Raises:
        ModelError: configuration and tensors do not fit each other.
    """
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    recipe = {"model": {"room": None, "class": architecture, "changed": False}, **json.loads(json.dumps(parts))}
    # These follow from the configuration, and a model without memory has not computed them.
    rotary = named("model.rotary_emb", dict(LlamaRotaryEmbedding(config).named_buffers()))
    return assembled(recipe, config, {**tensors, **rotary}, None, f"{checkpoint.place} does not fit its config.json")
