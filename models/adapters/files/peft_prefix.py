"""Prefixes of a decoder in files of Hugging Face PEFT.

There a prefix is a cache that the model finds: tokens take positions after it, and no rotary embedding turns its keys.
Here tokens keep their positions. A query is turned by p positions less, p the length of the prefix; so are the keys
here, and the products are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, describe
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..kinds.prefix import MLPPrefix, PrefixConfig, PrefixLayer
from ..wrapping import path_without_wrappers
from .peft_folder import Contents, Method, PeftFile, Read

_FIELDS = frozenset(
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


def _read(model: nn.Module, file: PeftFile) -> Read:
    """The prefixes of all blocks of a decoder with rotary positions."""
    if set(file.tensors) != {_EMBEDDINGS}:
        names = ", ".join(sorted(file.tensors)) or "nothing"
        raise ModelError(f"{file.folder} holds {names}: a prefix is {_EMBEDDINGS} alone")
    anatomy = describe(model)
    places, (heads, size) = _attentions(anatomy)
    _rotary(anatomy)
    values = file.tensors[_EMBEDDINGS]
    if values.ndim != 2 or values.shape[1] != len(places) * 2 * heads * size:
        raise ModelError(
            f"{file.folder}: {_EMBEDDINGS} has shape {tuple(values.shape)}, not (length, "
            f"{len(places) * 2 * heads * size}) as {len(places)} blocks with {heads} key/value heads of {size} need"
        )
    length = len(values)
    both_LCpH = values.unflatten(1, (len(places), 2, heads, size)).permute(1, 2, 3, 0, 4)
    state: dict[str, Tensor] = {}
    for place, (keys_CpH, values_CpH) in zip(places, both_LCpH, strict=True):
        state[f"{place}.prefix.keys"] = _turned(anatomy, keys_CpH, -length).contiguous()
        state[f"{place}.prefix.values"] = values_CpH.contiguous()
    return Read(PrefixConfig(length=length, train_head=False), state)


def _written(adapters: AdapterSet) -> Contents:
    """The prefixes of all blocks, those of an MLP as what it gives.

    Raises `ModelError` for a model of another kind, prefixes on some blocks only, and a head that trains.
    """
    head = next(iter(adapters.named_heads()), None)
    if head is not None:
        raise ModelError(f"{head} trains with the prefixes, and PEFT writes those alone: attach train_head=False")
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
    fields = {
        "task_type": "CAUSAL_LM",
        "num_virtual_tokens": len(values),
        "num_layers": len(places),
        "num_attention_heads": num_heads,
        "token_dim": num_heads * size,
        "num_transformer_submodules": 1,
        "prefix_projection": False,
    }
    return Contents(fields, {_EMBEDDINGS: values})


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


PREFIX_TUNING = Method("prefix tuning", (PrefixLayer,), _FIELDS, _read, _written)
