"""Quantised models on disk and back, in a format of our own: safetensors with the packed parts, and what they mean.

A folder holds `sparsebench_packed.json` (which weights are packed, and on which grid), `sparsebench_packed.safetensors`
with every parameter and buffer, and the `config.json` of a model of transformers. Nothing in it is executed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ....errors import ModelError
from ....hub.atomic_folder import written
from ....hub.derived_classes import PREFIX, source_of
from ....hub.folder_card import write_card
from ....hub.model_classes import model_class
from ....hub.models import ChangedModel, changed_class
from ....hub.own_folders import (
    check_same,
    load_generation_config,
    put,
    read_recipe,
    read_tensors,
    save_generation_config,
    state_of,
    write_recipe,
)
from ....hub.parts import parts_in
from ....hub.rooms import room_of
from ..grid import Grid

# Operators of packed weights register when they are imported: a cell that makes such weights passes through them.
from ..packed import packed_operators as packed_operators
from ..packed.packed_tensor import PackedTensor

FORMAT = 1
RECIPE = "sparsebench_packed.json"
WEIGHTS = "sparsebench_packed.safetensors"


def save_packed(model: nn.Module, path: str | Path) -> int:
    """Write a model with packed weights to a new folder, and return the bytes of its tensors.

    The folder appears whole or not at all. Raises `ModelError`, and writes nothing, for a folder that is not empty and
    for a model without packed weights.

    Example::

        quantise(model, QuantiseConfig(method="rtn"))
        save_packed(model, "packed")
        model = open_packed("packed")  # in another process
    """
    packed: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for name, value in state_of(model).items():
        if isinstance(value, PackedTensor):
            layout = {"columns": value.columns, "transposed": value.transposed}
            packed[name] = {"grid": asdict(value.grid)} | layout
            for part, tensor in value.parts().items():
                tensors[f"{name}.{part}"] = tensor.contiguous()
        else:
            tensors[name] = value.detach().contiguous()
    if not packed:
        raise ModelError(f"{type(model).__name__} has no packed weights: quantise it first")
    with written(path) as folder:
        _write(model, folder, {"model": _class_of(model), "packed": packed}, tensors)
    return sum(tensor.nbytes for tensor in tensors.values())


def open_packed(path: str | Path) -> nn.Module:
    """The model of transformers in a folder that `save_packed` wrote: on the CPU, in eval mode.

    No dense weight is made on the way. Raises `ModelError` for a folder that is not ours, files that are damaged or do
    not fit, and other models than those of transformers and GraphsGPT: build these and use `load_packed`.
    """
    folder = Path(path)
    recipe = _read_recipe(folder)
    with torch.device("meta"):
        model = _skeleton(folder, recipe["model"])
    load_packed(model, folder)
    return model.eval()


def load_packed(model: nn.Module, path: str | Path) -> None:
    """Load a folder that `save_packed` wrote into a model of the same architecture, dense or quantised, in place.

    Raises `ModelError`, and changes nothing, where names or shapes differ.
    """
    folder = Path(path)
    recipe = _read_recipe(folder)
    tensors = read_tensors(folder / WEIGHTS)
    for name, entry in recipe["packed"].items():
        tensors[name] = _take_packed(tensors, name, entry, folder)
    check_same(tensors, model, f"{folder} does not fit the model")
    for name, value in tensors.items():
        if isinstance(value, PackedTensor):
            put(model, name, nn.Parameter(value, requires_grad=False))
        else:
            put(model, name, value.clone())  # aligned in memory, which a file is not
    if hasattr(model, "tie_weights"):
        model.tie_weights()  # pyright: ignore[reportCallIssue]


def is_packed_folder(path: str | Path) -> bool:
    """Whether a folder was written by `save_packed`, to its end."""
    return (Path(path) / RECIPE).is_file()


def packed_weights(model: nn.Module) -> Iterator[tuple[str, PackedTensor]]:
    """The packed weights of a model by name."""
    for name, value in model.named_parameters():
        if isinstance(value, PackedTensor):
            yield name, value


def _class_of(model: nn.Module) -> dict[str, Any]:
    """Where the class of a model comes from: transformers (None), a room of ours, or elsewhere ("")."""
    cls = source_of(type(model))
    room = room_of(cls)
    if room is None and not cls.__module__.startswith("transformers."):
        room = ""
    return {"room": room, "class": cls.__name__, "changed": isinstance(model, ChangedModel)}


def _write(model: nn.Module, folder: Path, recipe: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    opened = 'from sparsebench.models.compression.quantisation import open_packed\n\nmodel = open_packed("this folder")'
    write_card(folder, f"{type(model).__name__} with packed weights", opened)
    config: Any = getattr(model, "config", None)
    if hasattr(config, "save_pretrained"):
        config = copy.deepcopy(config)
        if isinstance(model, ChangedModel):
            config.sparsebench = config.sparsebench | {"parts": parts_in(model)}
        config.save_pretrained(folder)
    save_generation_config(model, folder)
    save_file(tensors, folder / WEIGHTS)
    write_recipe(folder / RECIPE, FORMAT, recipe)


def _read_recipe(folder: Path) -> dict[str, Any]:
    if not is_packed_folder(folder):
        raise ModelError(f"{folder} has no {RECIPE}: it was not written by save_packed, or not to its end")
    return read_recipe(folder / RECIPE, FORMAT)


def _take_packed(tensors: dict[str, Tensor], name: str, entry: dict[str, Any], folder: Path) -> PackedTensor:
    """The parts of one packed weight, taken out of the tensors of a file."""
    grid = Grid(**entry["grid"])
    parts = ["words", "scale"] if grid.symmetric else ["words", "scale", "zero"]
    missing = [part for part in parts if f"{name}.{part}" not in tensors]
    if missing:
        raise ModelError(f"{folder / WEIGHTS} has no {', '.join(missing)} of {name}: it is not whole")
    # Clones are aligned in memory, which a file is not.
    found = {part: tensors.pop(f"{name}.{part}").clone() for part in parts}
    return PackedTensor(
        found["words"],
        found["scale"],
        found.get("zero"),
        grid=grid,
        columns=entry["columns"],
        transposed=entry["transposed"],
    )


def _skeleton(folder: Path, source: dict[str, Any]) -> Any:
    """The model without weights, of its configuration."""
    import transformers

    if source["room"] == "":
        raise ModelError(
            f"{folder} holds a {source['class']}, which is not built from a file alone: build it and use "
            "load_packed(model, path)"
        )
    name = source["class"].removeprefix(PREFIX)
    cls = model_class({"library": source["room"] or "transformers", "class": name})
    if source["changed"]:
        cls = changed_class(cls)
    model = cls(transformers.AutoConfig.from_pretrained(folder))
    load_generation_config(model, folder)
    return model
