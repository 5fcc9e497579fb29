"""The files of AdapterHub's library `adapters`: settings as JSON, tensors as a pickle of tensors or as safe tensors."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...anatomy import Anatomy
from ...errors import ModelError
from ..wrapping import path_without_wrappers

CONFIG = "adapter_config.json"
TENSORS = ("pytorch_adapter.bin", "adapter.safetensors")
HEAD_CONFIG = "head_config.json"
HEAD = ("pytorch_model_head.bin", "model_head.safetensors")


def write_folder(folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write settings and tensors of an adapter; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_tensors(folder / TENSORS[0], tensors)
    _write_json(folder / CONFIG, settings)


def write_head(folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a head beside an adapter."""
    _write_tensors(folder / HEAD[0], tensors)
    _write_json(folder / HEAD_CONFIG, settings)


def _write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    # Copies: a view would be written with all that it is a view of.
    torch.save({key: value.detach().cpu().clone() for key, value in tensors.items()}, file)


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `adapter_config.json` says, and the tensors. Raises `ModelError` where they cannot be read."""
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{folder} has no {CONFIG}: it is not a folder that AdapterHub's library wrote")
    try:
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder} cannot be read: {error}") from error
    if not isinstance(about, dict) or "config" not in about:
        raise ModelError(f"{folder} is not of AdapterHub's library: its {CONFIG} says no config (PEFT's: load_peft)")
    tensors = _stored(folder, TENSORS)
    if tensors is None:
        raise ModelError(f"{folder} has neither {' nor '.join(TENSORS)}: it is not whole")
    return about, tensors


def _stored(folder: Path, files: tuple[str, str]) -> dict[str, Tensor] | None:
    """The tensors of the first of two files that is there; a pickle may hold nothing but tensors."""
    pickled, safe = (folder / file for file in files)
    try:
        if safe.is_file():
            return load_file(safe)
        if pickled.is_file():
            found = torch.load(pickled, map_location="cpu", weights_only=True)
            if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
                raise ModelError(f"{pickled} holds more than tensors by name")
            return found
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"{folder} cannot be read: {first}") from error
    return None


def read_head(folder: Path, anatomy: Anatomy) -> dict[str, Tensor]:
    """The head in a folder, empty where there is none. Raises `ModelError` where the model has not this head."""
    head = _stored(folder, HEAD)
    if head is None:
        return {}
    paths = [path_without_wrappers(anatomy.model, site.path) for site in anatomy.heads]
    foreign = [key for key in head if not key.startswith(tuple(f"{path}." for path in paths))]
    if foreign:
        model = type(anatomy.model).__name__
        raise ModelError(
            f"{folder} has a head with {foreign[0]}, which this {model} has not: with_head=False loads the rest"
        )
    return head
