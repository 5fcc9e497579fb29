"""The prefix of AdapterHub's library, whose blocks lie in one tensor, and those here, one for each block."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import ModelError
from ..kinds.prefix import MLPPrefix, Prefix, PrefixLayer

# Shapes: L blocks with a prefix, C heads, p length of the prefix, H head size, m width of the MLP.
_TRUNK = {
    "wte.weight": "prefix.trunk.embedding",
    "control_trans.0.weight": "prefix.trunk.linear.weight",
    "control_trans.0.bias": "prefix.trunk.linear.bias",
}
_LAST = ("control_trans.2.weight", "control_trans.2.bias")
_FLAT = "control_trans"


def read_prefix(tensors: Mapping[str, Tensor], layers: list[PrefixLayer]) -> dict[str, Tensor]:
    """The state of the layers, in the order of the blocks, by the names of a set.

    Args:
        tensors: of the prefix in a file, by their names.
        layers: the layers that are attached.

    Raises:
        ModelError: names or sizes that do not fit.
    """
    first = layers[0]
    expected = {_FLAT}
    if isinstance(first.prefix, MLPPrefix):
        expected = {*_TRUNK, *_LAST}
    if tensors.keys() != expected:
        raise ModelError(f"the prefix holds {sorted(tensors)}, not {sorted(expected)}")
    heads, length, size = _shape(first)
    state: dict[str, Tensor] = {}
    if not isinstance(first.prefix, MLPPrefix):
        both_LCpH = _split(tensors[_FLAT], (length, len(layers), 2, heads, size)).permute(1, 2, 3, 0, 4)
        for layer, (keys_CpH, values_CpH) in zip(layers, both_LCpH, strict=True):
            state[f"{layer.place}.prefix.keys"] = keys_CpH.contiguous()
            state[f"{layer.place}.prefix.values"] = values_CpH.contiguous()
        return state
    for theirs, ours in _TRUNK.items():
        state[f"{first.place}.{ours}"] = tensors[theirs]
    for theirs, leaf in zip(_LAST, ("weight", "bias"), strict=True):
        whole = tensors[theirs]
        rows = 2 * heads * size
        if len(whole) != len(layers) * rows:
            raise ModelError(f"{theirs} has {len(whole)} rows, not {len(layers)} times {rows}")
        for layer, part in zip(layers, whole.split(rows), strict=True):
            state[f"{layer.place}.prefix.linear.{leaf}"] = part
    return state


def written_prefix(layers: list[PrefixLayer]) -> dict[str, Tensor]:
    """The tensors of a file, by their names, of the layers in the order of the blocks."""
    first = layers[0].prefix
    if isinstance(first, MLPPrefix):
        own = layers[0].adapter_state()
        tensors = {theirs: own[ours] for theirs, ours in _TRUNK.items()}
        for theirs, leaf in zip(_LAST, ("weight", "bias"), strict=True):
            tensors[theirs] = torch.cat([layer.adapter_state()[f"prefix.linear.{leaf}"] for layer in layers])
        return tensors
    both_L = [torch.stack(layer.prefix()) for layer in layers]
    return {_FLAT: torch.stack(both_L).permute(3, 0, 1, 2, 4).flatten()}


def _shape(layer: PrefixLayer) -> tuple[int, int, int]:
    if isinstance(layer.prefix, MLPPrefix):
        return layer.prefix.shape
    assert isinstance(layer.prefix, Prefix)
    heads, length, size = layer.prefix.keys.shape
    return heads, length, size


def _split(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    if flat.numel() != torch.Size(shape).numel():
        raise ModelError(f"the prefix holds {flat.numel()} numbers, not {' x '.join(map(str, shape))}")
    return flat.view(shape)
