"""Adapters as files: tensors in `adapters.safetensors`, what they are in `adapters.json`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...registry import Registry, only_class
from ..adapter_set import AdapterSet
from ..by_name import attach_by_name
from ..config import KINDS, AdapterConfig

FORMAT = 2
"""Version of what `save_adapters` writes. In format 1 some modules have other names: `AdapterLayer.former_names`."""
TENSORS = "adapters.safetensors"
DESCRIPTION = "adapters.json"
_VALUES = "pruned.values"
_BITS = "pruned.bits"


def save_adapters(adapters: AdapterSet, folder: str | Path) -> None:
    """Write a set, with its head, into a folder.

    Pruned layers take the size of a number per weight that is left and a bit per weight there was. Sets that a fusion
    is built on are saved by themselves.

    Args:
        adapters: a set that is on its model.
        folder: where to; it is made if it is not there.

    Raises:
        ModelError: the set is not on its model (it was removed or merged).
    """
    adapters.check_attached()
    tensors, pruned = _pack(adapters.state_dict())
    description = {
        "format": FORMAT,
        "name": adapters.name,
        "model": type(adapters.model).__name__,
        "config": encode(adapters.config),
        "pruned": {stem: "x".join(map(str, shape)) for stem, shape in pruned.items()},
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, Tensor] = {}
    for name, value in tensors.items():
        written[name] = value.cpu().clone(memory_format=torch.contiguous_format)
    save_file(written, folder / TENSORS)
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def load_adapters(model: nn.Module, folder: str | Path, name: str | None = None) -> AdapterSet:
    """Attach to a model what `save_adapters` wrote; the head gets the saved weights.

    Args:
        model: a model of the class that the adapters were on, without a set of this name.
        folder: what `save_adapters` wrote.
        name: the name of the set in this model; None is the one that it was saved under.

    Returns:
        The set, attached and with the saved values.

    Raises:
        ModelError: a file is missing or cannot be read, or was written for another model, by a newer version, or for a
            kind that is not known here. The model stays as it was.
    """
    description, tensors = _read(Path(folder))
    # A converted model is of a class of its own, derived from the one it had when older files were written.
    names = {cls.__name__ for cls in type(model).__mro__}
    if description["model"] not in names:
        raise ModelError(f"{folder} holds adapters of a {description['model']}, not of a {type(model).__name__}")
    adapters = attach_by_name(model, decode(description["config"], folder), name or description["name"])
    try:
        state = _unpack(tensors, description["pruned"])
        if description["format"] == 1:
            state = _with_names_of_today(state, adapters)
        adapters.load_state_dict(state)
    except ModelError as error:
        adapters.remove()
        raise ModelError(f"{folder} does not fit this {type(model).__name__}: {error}") from error
    return adapters


@dataclass(frozen=True, kw_only=True)
class SizeReport:
    """Bytes of the tensors of a set as `save_adapters` stores them, unpruned (`dense`), and of the head by itself."""

    stored: int
    dense: int
    head: int


def size_report(adapters: AdapterSet) -> SizeReport:
    """The sizes of a set in bytes: as stored, as it would be without pruning, and its head.

    Args:
        adapters: any set.
    """
    tensors, _ = _pack(adapters.state_dict())
    everything = _bytes(tensors)
    head = _bytes(adapters.head_state())
    packed = 0
    unpruned = 0
    for layer in adapters.prunable().values():
        if layer.values is not None:
            packed += layer.stored.nbytes + layer.mask_bytes()
            unpruned += layer.shape.numel() * layer.stored.element_size()
    stored = everything - head
    return SizeReport(stored=stored, dense=stored - packed + unpruned, head=head)


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.nbytes for value in tensors.values())


def _pack(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """The pruned layers of a state in two tensors, for a short file header; and their names and shapes in order."""
    tensors = dict(state)
    shapes: dict[str, list[int]] = {}
    values: list[Tensor] = []
    bits: list[Tensor] = []
    for key in state:
        if not key.endswith(".bits"):
            continue
        stem = key.removesuffix(".bits")
        values.append(tensors.pop(f"{stem}.values").cpu())
        bits.append(tensors.pop(f"{stem}.bits").cpu())
        shapes[stem] = tensors.pop(f"{stem}.shape").tolist()
    if shapes:
        tensors[_VALUES] = torch.cat(values)
        tensors[_BITS] = torch.cat(bits)
    return tensors, shapes


def _unpack(tensors: dict[str, Tensor], pruned: dict[str, str]) -> dict[str, Tensor]:
    """The state that `_pack` took."""
    state = dict(tensors)
    if not pruned:
        return state
    all_values = state.pop(_VALUES)
    all_bits = state.pop(_BITS)
    for stem, text in pruned.items():
        shape = torch.tensor([int(size) for size in text.split("x")], dtype=torch.int32)
        # A bit for each entry, the last byte filled up; as many values as there are bits set.
        num_bytes = math.ceil(int(shape.prod()) / 8)
        bits = all_bits[:num_bytes]
        num_values = int(np.bitwise_count(bits.numpy()).sum())
        state[f"{stem}.shape"] = shape
        state[f"{stem}.bits"] = bits
        state[f"{stem}.values"] = all_values[:num_values]
        all_bits = all_bits[num_bytes:]
        all_values = all_values[num_values:]
    return state


def _with_names_of_today(state: dict[str, Tensor], adapters: AdapterSet) -> dict[str, Tensor]:
    """A state of format 1, whose layers have `former_names`."""
    prefixes: dict[str, str] = {}
    for place, layer in adapters.layers():
        for former, name in layer.former_names.items():
            prefixes[f"{place}.{former}."] = f"{place}.{name}."
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        for former, name in prefixes.items():
            if key.startswith(former):
                key = key.replace(former, name, 1)
                break
        renamed[key] = value
    return renamed


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    for file in (DESCRIPTION, TENSORS):
        if not (folder / file).is_file():
            raise ModelError(f"{folder} has no {file}: it is not a folder that save_adapters wrote")
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        version = description["format"]
        if version > FORMAT:
            raise ModelError(f"{folder} has format {version}, newer than {FORMAT}: update sparsebench to read it")
        return description, load_file(folder / TENSORS)
    except (json.JSONDecodeError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be read: {error}") from error


def encode(value: Any) -> Any:
    """A configuration of adapters, or a field of one, in what JSON can say."""
    if isinstance(value, AdapterConfig):
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            fields[field.name] = encode(getattr(value, field.name))
        return {"kind": type(value).__name__, "fields": fields} | _package(type(value))
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    return value


def decode(value: Any, folder: str | Path) -> Any:
    """What `encode` was given. Raises `ModelError`, which names the folder, for a kind or field that is not known."""
    if isinstance(value, list):
        return tuple(decode(item, folder) for item in value)
    if not isinstance(value, dict):
        return value
    if value["kind"] not in KINDS and value["kind"] in FURTHER:
        FURTHER.get(value["kind"])
    elif value["kind"] not in KINDS and "package" in value:
        FURTHER.check_needed(value["package"])
    check_choice(f"{folder}: kind", value["kind"], tuple(KINDS))
    fields = {name: decode(item, folder) for name, item in value["fields"].items()}
    try:
        kind = KINDS[value["kind"]]
        return kind(**{**kind.former_defaults, **fields})
    except TypeError as error:
        raise ModelError(f"{folder}: this version does not know these adapters: {error}") from error


def _kind_in(module: ModuleType) -> type[AdapterConfig]:
    return only_class(module, AdapterConfig)


FURTHER: Registry[type[AdapterConfig]] = Registry("adapter", KINDS, _kind_in)
"""Kinds of other packages, by the names of their classes: entry points in the group `sparsebench.adapters`."""


def _package(cls: type[AdapterConfig]) -> dict[str, Any]:
    """The package of a kind that is not of this one."""
    if cls.__module__.startswith("sparsebench."):
        return {}
    return {"package": FURTHER.needed_of(cls.__name__, cls.__module__)}
