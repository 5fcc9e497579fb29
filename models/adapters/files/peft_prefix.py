"""Prefixes of a decoder in files of Hugging Face PEFT.

There a prefix is a cache that the model finds: tokens take positions after it, and no rotary embedding turns its keys.
Here tokens keep their positions. A query is turned by p positions less, p the length of the prefix; so are the keys
here, and the products are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, describe
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..kinds.prefix import MLPPrefix, PrefixConfig, PrefixLayer
from ..wrapping import path_without_wrappers
from .peft_folder import attach_state, check_fields, head_tensors, origin, write_folder

_KNOWN = frozenset(
    {
        "num_virtual_tokens",
        "token_dim",
        "num_transformer_submodules",
        "num_attention_heads",
        "num_layers",
        "encoder_hidden_size",
        "prefix_projection",
        "init_weights",
    }
)
_EMBEDDINGS = "prompt_embeddings"
_PLAIN_TURNS = ("default", "linear", "llama3", "yarn")

# Shapes: L blocks, C key/value heads, p length of the prefix, H head size.


def load_prefix(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, folder: str | Path
) -> AdapterSet:
    """Attach the prefixes of all blocks of a decoder with rotary positions.

    Args:
        model: the model that the checkpoint was trained on.
        config: the fields of the file.
        tensors: its tensors.
        name: of the new set.
        folder: named in messages.

    Raises:
        ModelError: a model of another kind, trained modules, sizes that do not fit. The model stays as it was.
    """
    check_fields(config, _KNOWN, "prefix tuning", folder)
    if set(tensors) != {_EMBEDDINGS}:
        raise ModelError(f"{folder} holds {', '.join(sorted(tensors)) or 'nothing'}: a prefix is {_EMBEDDINGS} alone")
    anatomy = describe(model)
    places, shape = _attentions(anatomy)
    _rotary(anatomy)
    values = tensors[_EMBEDDINGS]
    heads, size = shape
    if values.ndim != 2 or values.shape[1] != len(places) * 2 * heads * size:
        raise ModelError(
            f"{folder}: {_EMBEDDINGS} has shape {tuple(values.shape)}, not (length, {len(places) * 2 * heads * size}) "
            f"as {len(places)} blocks with {heads} key/value heads of {size} need"
        )
    length = len(values)
    both_LCpH = values.unflatten(1, (len(places), 2, heads, size)).permute(1, 2, 3, 0, 4)
    state: dict[str, Tensor] = {}
    for place, (keys_CpH, values_CpH) in zip(places, both_LCpH, strict=True):
        state[f"{place}.prefix.keys"] = _turned(anatomy, keys_CpH, -length).contiguous()
        state[f"{place}.prefix.values"] = values_CpH.contiguous()
    return attach_state(model, PrefixConfig(length=length, train_head=False), name, state, folder)


def save_prefix(adapters: AdapterSet, folder: str | Path, base_model_name: str | None) -> None:
    """Write the prefixes of a set, those of an MLP as what it gives.

    Args:
        adapters: a set of prefixes on all blocks of a decoder with rotary positions.
        folder: where to.
        base_model_name: for PEFT's `base_model_name_or_path`.

    Raises:
        ModelError: a model of another kind, prefixes on some blocks only, or a head that trains.
    """
    heads, _ = head_tensors(adapters)
    if heads:
        raise ModelError(f"{heads[0]} trains with the prefixes, and PEFT writes those alone: attach train_head=False")
    anatomy = describe(adapters.model)
    places, (num_heads, size) = _attentions(anatomy)
    layers = dict(adapters.layers())
    if list(layers) != places:
        raise ModelError(f"{len(layers)} of {len(places)} blocks have a prefix: PEFT needs one on each")
    rows: list[Tensor] = []
    for layer in layers.values():
        assert isinstance(layer, PrefixLayer)
        prefix = layer.prefix.as_prefix() if isinstance(layer.prefix, MLPPrefix) else layer.prefix
        keys_CpH, values_CpH = prefix()
        length = keys_CpH.shape[1]
        both_2CpH = torch.stack((_turned(anatomy, keys_CpH.detach(), length), values_CpH.detach()))
        rows.append(both_2CpH.permute(2, 0, 1, 3).flatten(1))
    values = torch.cat(rows, dim=1)
    config = origin("PREFIX_TUNING", base_model_name, []) | {
        "task_type": "CAUSAL_LM",
        "num_virtual_tokens": len(values),
        "num_layers": len(places),
        "num_attention_heads": num_heads,
        "token_dim": num_heads * size,
        "num_transformer_submodules": 1,
        "prefix_projection": False,
    }
    write_folder(folder, config, {_EMBEDDINGS: values})


def _attentions(anatomy: Anatomy) -> tuple[list[str], tuple[int, int]]:
    """The names of the attentions without wrappers, and heads and size that all of them have."""
    sizes: set[tuple[int, int]] = set()
    places: list[str] = []
    for block in anatomy.blocks:
        attention = block.attention
        if attention is None or not attention.causal:
            raise ModelError(
                f"{block.site.path} has no attention of a decoder: PEFT's prefixes lie in a cache, which this "
                f"{type(anatomy.model).__name__} has not"
            )
        sizes.add((attention.num_kv_heads, attention.head_dim))
        places.append(path_without_wrappers(anatomy.model, attention.site.path))
    if len(sizes) != 1:
        raise ModelError(
            f"the blocks of {type(anatomy.model).__name__} differ in their heads: PEFT has one shape for all"
        )
    return places, sizes.pop()


def _turned(anatomy: Anatomy, keys_CpH: Tensor, positions: int) -> Tensor:
    """Keys as a rotary embedding turns them by a number of positions; negative: back."""
    rotary = _rotary(anatomy)
    where = torch.tensor([[abs(positions)]], device=keys_CpH.device)
    cos, sin = rotary(keys_CpH.float(), where)
    cos_H = cos[0, 0] / rotary.attention_scaling
    sin_H = sin[0, 0] / rotary.attention_scaling
    if positions < 0:
        sin_H = -sin_H
    if len(cos_H) != keys_CpH.shape[-1]:
        raise ModelError(f"{type(anatomy.model).__name__} turns a part of each head only: its prefixes cannot be moved")
    first, second = keys_CpH.float().chunk(2, dim=-1)
    half_turned = torch.cat((-second, first), dim=-1)
    return (keys_CpH.float() * cos_H + half_turned * sin_H).to(keys_CpH.dtype)


def _rotary(anatomy: Anatomy) -> Any:
    """The one rotary embedding of a model. Raises `ModelError` where positions are of another kind."""
    found = [module for name, module in anatomy.model.named_modules() if name.rpartition(".")[2] == "rotary_emb"]
    if len(found) == 1 and getattr(found[0], "rope_type", None) in _PLAIN_TURNS:
        return found[0]
    raise ModelError(
        f"{type(anatomy.model).__name__} has no rotary positions that depend on the position alone: with PEFT tokens "
        "begin after the prefix, here at 0, so the file means another function"
    )
