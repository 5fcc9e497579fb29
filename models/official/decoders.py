"""A decoder of transformers with converted layers, put together of tensors that were read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..errors import ModelError
from ..hub.loading import assembled
from ..moe.attention.config import AttnMoEConfig
from ..moe.config import MoEConfig
from .checkpoint import Checkpoint

NOT_STOCK = ("model_type", "architectures", "auto_map", "transformers_version")
"""Keys of a `config.json` that are of the class that wrote it."""


def required(checkpoint: Checkpoint, key: str) -> Any:
    """A value of the configuration. Raises `ModelError` where it is not there."""
    if key not in checkpoint.config:
        raise ModelError(f"the config.json of {checkpoint.place} does not say {key}: it is of another layout")
    return checkpoint.config[key]


def check_values(checkpoint: Checkpoint, wanted: Mapping[str, Any]) -> None:
    """Refuse what the official code can do and published checkpoints do not.

    Args:
        checkpoint: that is read.
        wanted: the value of each key that is known here; an absent key counts as that.

    Raises:
        ModelError: a key has another value.
    """
    for key, value in wanted.items():
        found = checkpoint.config.get(key, value)
        if found != value:
            raise ModelError(f"{checkpoint.place} says {key}={found!r}; only {value!r} is known here")


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


def llama_of(
    checkpoint: Checkpoint,
    intermediate_size: int,
    foreign: Collection[str],
    blocks: Mapping[int, Any],
    attention: Mapping[int, AttnMoEConfig],
    tensors: dict[str, Tensor],
    **changes: Any,
) -> Any:
    """A Llama of transformers with mixtures in the places of its FFNs and attentions.

    Args:
        checkpoint: whose configuration counts.
        intermediate_size: neurons of a dense FFN.
        foreign: keys of the configuration that a Llama does not know; all others are handed to it.
        blocks: by number of the block, the recipe of its mixture.
        attention: likewise the configuration of its attention experts.
        tensors: of the whole model, by our names.
        changes: other values of the Llama's configuration.

    Returns:
        The model, in eval mode.

    Raises:
        ModelError: configuration and tensors do not fit each other.
    """
    import transformers
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    fields: dict[str, Any] = {"intermediate_size": intermediate_size} | changes
    for key, value in checkpoint.config.items():
        if key not in (*NOT_STOCK, *foreign):
            fields.setdefault(key, value)
    config = transformers.LlamaConfig(**fields)
    recipe: dict[str, Any] = {"model": {"room": None, "class": "LlamaForCausalLM", "changed": False}}
    heads = {str(index): dataclasses.asdict(found) for index, found in attention.items()}
    mixtures = {str(index): found for index, found in blocks.items()}
    recipe["moe"] = json.loads(json.dumps({"blocks": mixtures, "attention": heads}))
    # These follow from the configuration, and a model without memory has not computed them.
    for name, value in LlamaRotaryEmbedding(config).named_buffers():
        tensors[f"model.rotary_emb.{name}"] = value
    return assembled(recipe, config, tensors, None, f"{checkpoint.place} does not fit its config.json")
