"""Our own checkpoint format, for converted models that are not of transformers: how they were cut, and weights.

A folder holds `sparsebench_moe.json` (the recipe: model class, and per converted block its `MoEConfig`, sizes of the
experts and scale) and safetensors with every parameter and buffer, so that a reloaded model computes bit for bit what
the saved one did. Nothing in it is executed. Older versions wrote models of transformers like this, too, with the base
model's `config.json`: these are read.
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor, nn

from ...errors import ModelError
from ...hub.declaration import declare
from .model_classes import model_class
from .skeleton import Recipe, build, recipe_of

FORMAT = 1
RECIPE = "sparsebench_moe.json"
WEIGHTS = "sparsebench_moe{suffix}.safetensors"


def is_own(folder: Path) -> bool:
    """Whether a folder is in this format."""
    return (folder / RECIPE).is_file()


def write(model: nn.Module, folder: Path, *, max_shard_size: int | str) -> None:
    """Write a model that `check_whole` has passed."""
    from huggingface_hub import save_torch_state_dict

    text = json.dumps({"format": FORMAT} | recipe_of(model), indent=1)
    (folder / RECIPE).write_text(text + "\n", encoding="utf-8")
    tensors = {name: value.detach().contiguous() for name, value in state_of(model).items()}
    save_torch_state_dict(tensors, folder, filename_pattern=WEIGHTS, max_shard_size=max_shard_size)


def read(folder: Path) -> nn.Module:
    """The model in a folder. Raises `ModelError` for a newer format and for files that are damaged or do not fit."""
    recipe = _read_recipe(folder)
    base = recipe["model"]
    hf = base["library"] != "timm"
    model = build(recipe, model_class(base).config_class.from_pretrained(folder) if hf else None)
    tensors = _read_weights(folder)
    check_same(tensors, model, f"{folder} does not fit its recipe")
    for name, value in tensors.items():
        # A clone is aligned in memory, which a file is not: products depend on that in the last bit.
        _put(model, name, value.clone())
    if hf:
        model.tie_weights()
        if (folder / "generation_config.json").is_file():
            from transformers import GenerationConfig

            model.generation_config = GenerationConfig.from_pretrained(folder)
    declare(model, "moe")
    return model.eval()


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer, tied ones once."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def check_same(tensors: dict[str, Tensor], model: nn.Module, complaint: str) -> None:
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


def _read_recipe(folder: Path) -> Recipe:
    file = folder / RECIPE
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))
        version = recipe["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} is damaged: {error!r}") from error
    if version != FORMAT:
        raise ModelError(f"{file} has format {version}, this version reads {FORMAT}: update sparsebench")
    return recipe


def _read_weights(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob(WEIGHTS.format(suffix="*"))):
        try:
            tensors |= load_file(file)
        except SafetensorError as error:
            raise ModelError(f"{file} is damaged or cut short ({error}): copy it again") from error
    return tensors


def _put(model: nn.Module, name: str, value: Tensor) -> None:
    place, _, leaf = name.rpartition(".")
    module = model.get_submodule(place)
    if leaf in module._parameters:
        module._parameters[leaf] = nn.Parameter(value)
    else:
        module._buffers[leaf] = value
