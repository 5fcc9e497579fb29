"""Folders in formats of our own: a recipe in JSON, and safetensors with every parameter and buffer of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ModelError


def write_recipe(file: Path, version: int, recipe: Mapping[str, Any]) -> None:
    """Write a recipe of this version of its format."""
    text = json.dumps({"format": version, **recipe}, indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def read_recipe(file: Path, version: int) -> dict[str, Any]:
    """A recipe. Raises `ModelError` for a file that is damaged, and for another version of its format."""
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
        found = recipe["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged: {error!r}") from error
    if found != version:
        raise ModelError(f"{file} has format {found}, this version reads {version}: update sparsebench")
    return recipe


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises `ModelError` for one that is damaged or cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise ModelError(f"{file} is damaged or cut short ({error}): copy it again") from error
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error}") from error


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer, tied ones once; buffers that a model computes when it is made, too."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def check_same(tensors: Mapping[str, Tensor], model: nn.Module, complaint: str) -> None:
    """Raise a `ModelError` unless the names and shapes are those of the model."""
    wanted = state_of(model)
    common = wanted.keys() & tensors.keys()
    found = {
        "missing": sorted(wanted.keys() - common),
        "unknown": sorted(tensors.keys() - common),
        "of another shape": sorted(name for name in common if wanted[name].shape != tensors[name].shape),
    }
    parts = [f"{len(names)} {kind}, as {names[0]}" for kind, names in found.items() if names]
    if parts:
        raise ModelError(f"{complaint}: tensors {'; '.join(parts)}")


def put(model: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor where the model has a parameter or buffer of this name; it may be on the meta device.

    A parameter is put there as it is; of another tensor one is made, with a gradient where it can have one.
    """
    place, _, leaf = name.rpartition(".")
    module = model.get_submodule(place)
    if leaf in module._buffers:
        module._buffers[leaf] = value
    elif isinstance(value, nn.Parameter):
        module._parameters[leaf] = value
    else:
        module._parameters[leaf] = nn.Parameter(value, requires_grad=value.is_floating_point())


def save_generation_config(model: Any, folder: Path) -> None:
    """Write how a model generates, if it says so, as transformers does."""
    config = getattr(model, "generation_config", None)
    if config is not None:
        config.save_pretrained(folder)


def load_generation_config(model: Any, folder: Path) -> None:
    """Give a model what `save_generation_config` wrote, if anything."""
    if (folder / "generation_config.json").is_file():
        from transformers import GenerationConfig

        model.generation_config = GenerationConfig.from_pretrained(folder)
