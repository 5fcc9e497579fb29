"""Quantised models on disk and back, in a format of our own: safetensors with the packed parts, and what they mean.

A folder holds `sparsebench_packed.json` (which weights are packed, and on which grid), `sparsebench_packed.safetensors`
with every parameter and buffer, and the `config.json` of a model of transformers. Nothing in it is executed.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ...hub.derived_classes import PREFIX, source_of
from ...hub.models import ChangedModel, changed_class
from ...hub.parts import parts_in
from ...hub.rooms import class_of, room_of
from .grid import Grid
from .packed_tensor import PackedTensor

FORMAT = 1
RECIPE = "sparsebench_packed.json"
WEIGHTS = "sparsebench_packed.safetensors"


def save_packed(model: nn.Module, path: str | Path) -> int:
    """Write a model with packed weights to a new folder, and return the bytes of its tensors.

    The recipe is written last: a folder without it is not whole, and is not opened. Raises `ModelError`, and writes
    nothing, for a folder that is not empty and for a model without packed weights.

    Example::

        quantise(model, QuantiseConfig(method="rtn"))
        save_packed(model, "packed")
        model = open_packed("packed")  # in another process
    """
    folder = new_folder(path)
    packed = dict(packed_weights(model))
    if not packed:
        raise ModelError(f"{type(model).__name__} has no packed weights: quantise it first")
    recipe = {"format": FORMAT, "model": _class_of(model), "packed": {}}
    tensors: dict[str, Tensor] = {}
    for name, value in _state_of(model).items():
        if isinstance(value, PackedTensor):
            layout = {"columns": value.columns, "transposed": value.transposed}
            recipe["packed"][name] = {"grid": asdict(value.grid)} | layout
            for part, tensor in value.parts().items():
                tensors[f"{name}.{part}"] = tensor.contiguous()
        else:
            tensors[name] = value.detach().contiguous()
    _write(model, folder, recipe, tensors)
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
    tensors = _read_tensors(folder)
    for name, entry in recipe["packed"].items():
        tensors[name] = _take_packed(tensors, name, entry, folder)
    _check_same(tensors, _state_of(model), folder)
    for name, value in tensors.items():
        place, _, leaf = name.rpartition(".")
        module = model.get_submodule(place)
        if leaf in module._buffers:
            module._buffers[leaf] = value.clone()  # aligned in memory, which a file is not
        elif isinstance(value, PackedTensor):
            module._parameters[leaf] = nn.Parameter(value, requires_grad=False)
        else:
            module._parameters[leaf] = nn.Parameter(value.clone(), requires_grad=value.is_floating_point())
    if hasattr(model, "tie_weights"):
        model.tie_weights()  # pyright: ignore[reportCallIssue]


def is_packed_folder(path: str | Path) -> bool:
    """Whether a folder was written by `save_packed`, to its end."""
    return (Path(path) / RECIPE).is_file()


def new_folder(path: str | Path) -> Path:
    """The path of a folder to write to. Raises `ModelError` where something lies there already."""
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} exists and is not an empty folder: choose another path, or remove it")
    return folder


def packed_weights(model: nn.Module) -> Iterator[tuple[str, PackedTensor]]:
    """The packed weights of a model by name."""
    for name, value in model.named_parameters():
        if isinstance(value, PackedTensor):
            yield name, value


def _state_of(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer, tied ones once; buffers that a model computes when it is made, too."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _class_of(model: nn.Module) -> dict[str, Any]:
    """Where the class of a model comes from: transformers (None), a room of ours, or elsewhere ("")."""
    cls = source_of(type(model))
    room = room_of(cls)
    if room is None and not cls.__module__.startswith("transformers."):
        room = ""
    return {"room": room, "class": cls.__name__, "changed": isinstance(model, ChangedModel)}


def _write(model: nn.Module, folder: Path, recipe: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config: Any = getattr(model, "config", None)
    if hasattr(config, "save_pretrained"):
        config = copy.deepcopy(config)
        if isinstance(model, ChangedModel):
            config.sparsebench = config.sparsebench | {"parts": parts_in(model)}
        config.save_pretrained(folder)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.save_pretrained(folder)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    save_file(tensors, folder / WEIGHTS)
    (folder / RECIPE).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")


def _read_recipe(folder: Path) -> dict[str, Any]:
    file = folder / RECIPE
    if not file.is_file():
        raise ModelError(f"{folder} has no {RECIPE}: it was not written by save_packed, or not to its end")
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
        version = recipe["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged: {error!r}") from error
    if version != FORMAT:
        raise ModelError(f"{file} has format {version}, this version reads {FORMAT}: update sparsebench")
    return recipe


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ModelError(f"{folder / WEIGHTS} is damaged or cut short ({error}): copy it again") from error
    except OSError as error:
        raise ModelError(f"{folder / WEIGHTS} cannot be read: {error}") from error


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


def _check_same(tensors: dict[str, Tensor], wanted: dict[str, Tensor], folder: Path) -> None:
    common = wanted.keys() & tensors.keys()
    found = {
        "missing": sorted(wanted.keys() - common),
        "unknown": sorted(tensors.keys() - common),
        "of another shape": sorted(name for name in common if wanted[name].shape != tensors[name].shape),
    }
    parts = [f"{len(names)} {kind}, as {names[0]}" for kind, names in found.items() if names]
    if parts:
        raise ModelError(f"{folder} does not fit the model: tensors {'; '.join(parts)}")


def _skeleton(folder: Path, source: dict[str, Any]) -> Any:
    """The model without weights, of its configuration."""
    import transformers

    room = source["room"]
    name = source["class"].removeprefix(PREFIX)
    cls = None
    if room is None:
        cls = getattr(transformers, name, None)
    elif room:
        cls = class_of(room, name)
    if cls is None:
        raise ModelError(
            f"{folder} holds a {name}, which is not built from a file alone: build it and use load_packed(model, path)"
        )
    if source["changed"]:
        cls = changed_class(cls)
    config = transformers.AutoConfig.from_pretrained(folder)
    model = cls(config)
    if (folder / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    return model
