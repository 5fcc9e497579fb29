"""Adapters as files: tensors in `adapters.safetensors`, what they are in `adapters.json`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...sparsity.masked import PRUNED
from ..adapter_set import AdapterSet
from ..attachment import attach
from ..config import KINDS, AdapterConfig

FORMAT = 1
"""Version of what `save_adapters` writes."""
TENSORS, DESCRIPTION = "adapters.safetensors", "adapters.json"
_VALUES, _BITS = "pruned.values", "pruned.bits"


def save_adapters(adapters: AdapterSet, folder: str | Path) -> None:
    """Write a set, with its head, into `folder`, which is made.

    Pruned layers take the size of a number per weight that is left and a bit per weight there was. Sets that a fusion
    is built on are saved by themselves. Raises `ModelError` for a set that is not on its model.
    """
    adapters.check_attached()
    tensors, pruned = _pack(adapters.state_dict())
    description = {
        "format": FORMAT,
        "name": adapters.name,
        "model": type(adapters.model).__name__,
        "config": _encode(adapters.config),
        "pruned": {stem: "x".join(map(str, shape)) for stem, shape in pruned.items()},
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()},
        folder / TENSORS,
    )
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def load_adapters(model: nn.Module, folder: str | Path, name: str | None = None) -> AdapterSet:
    """Attach to `model` what `save_adapters` wrote, under its old name or a new one; the head gets the saved weights.

    Raises `ModelError`, and leaves the model untouched, when a file is missing or cannot be read, was written for
    another model, by a newer version, or for a kind that is not known here.
    """
    description, tensors = _read(Path(folder))
    if description["model"] != type(model).__name__:
        raise ModelError(f"{folder} holds adapters of a {description['model']}, not of a {type(model).__name__}")
    adapters = attach(model, _decode(description["config"], folder), name or description["name"])
    try:
        adapters.load_state_dict(_unpack(tensors, description["pruned"]))
    except ModelError as error:
        adapters.remove()
        raise ModelError(f"{folder} does not fit this {type(model).__name__}: {error}") from error
    return adapters


@dataclass(frozen=True, kw_only=True)
class SizeReport:
    """Bytes of the tensors of a set as `save_adapters` stores them, unpruned (`dense`), and of the head beside them."""

    stored: int
    dense: int
    head: int


def size_report(adapters: AdapterSet) -> SizeReport:
    """The sizes of a set."""
    whole = sum(value.nbytes for value in _pack(adapters.state_dict())[0].values())
    head = 0 if adapters.head is None else sum(value.nbytes for value in adapters.head.get().state_dict().values())
    pruned = [layer for layer in adapters.prunable().values() if layer.values is not None]
    packed = sum(layer.stored.nbytes + layer.mask_bytes() for layer in pruned)
    unpruned = sum(layer.shape.numel() * layer.stored.element_size() for layer in pruned)
    return SizeReport(stored=whole - head, dense=whole - head - packed + unpruned, head=head)


def _pack(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """The pruned layers of a state in two tensors, for a short file header; and their names and shapes in order."""
    stems = [key.removesuffix(".bits") for key in state if key.endswith(".bits")]
    packed = {f"{stem}.{leaf}" for stem in stems for leaf in PRUNED}
    tensors = {key: value for key, value in state.items() if key not in packed}
    if stems:
        tensors[_VALUES] = torch.cat([state[f"{stem}.values"].cpu() for stem in stems])
        tensors[_BITS] = torch.cat([state[f"{stem}.bits"].cpu() for stem in stems])
    return tensors, {stem: state[f"{stem}.shape"].tolist() for stem in stems}


def _unpack(tensors: dict[str, Tensor], pruned: dict[str, str]) -> dict[str, Tensor]:
    """The state that `_pack` took."""
    state = {key: value for key, value in tensors.items() if key not in (_VALUES, _BITS)}
    values, bits = tensors.get(_VALUES), tensors.get(_BITS)
    for stem, text in pruned.items():
        assert values is not None and bits is not None
        shape = torch.tensor([int(size) for size in text.split("x")], dtype=torch.int32)
        state[f"{stem}.shape"], state[f"{stem}.bits"] = shape, bits[: -(-int(shape.prod()) // 8)]
        count = int(np.bitwise_count(state[f"{stem}.bits"].numpy()).sum())
        state[f"{stem}.values"] = values[:count]
        values, bits = values[count:], bits[len(state[f"{stem}.bits"]) :]
    return state


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


def _encode(value: Any) -> Any:
    if isinstance(value, AdapterConfig):
        fields = {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"kind": type(value).__name__, "fields": fields}
    return [_encode(item) for item in value] if isinstance(value, tuple) else value


def _decode(value: Any, folder: str | Path) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, folder) for item in value)
    if not isinstance(value, dict):
        return value
    check_choice(f"{folder}: kind", value["kind"], tuple(KINDS))
    fields = {name: _decode(item, folder) for name, item in value["fields"].items()}
    try:
        return KINDS[value["kind"]](**fields)
    except TypeError as error:
        raise ModelError(f"{folder}: this version does not know these adapters: {error}") from error
