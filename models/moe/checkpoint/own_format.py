"""Our own checkpoint format, for converted models that are not of transformers: how they were cut, and weights.

A folder holds `sparsebench_moe.json` (the recipe: model class, and per converted block its `MoEConfig`, sizes of the
experts and scale) and safetensors with every parameter and buffer, so that a reloaded model computes bit for bit what
the saved one did. Nothing in it is executed. Older versions wrote models of transformers like this, too, with the base
model's `config.json`: these are read.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from ...hub.declaration import declare
from ...hub.folder_card import write_card
from ...hub.model_classes import model_class
from ...hub.own_folders import (
    check_same,
    load_generation_config,
    put,
    read_recipe,
    read_tensors,
    state_of,
    write_recipe,
)
from .skeleton import build, recipe_of

FORMAT = 1
RECIPE = "sparsebench_moe.json"
WEIGHTS = "sparsebench_moe{suffix}.safetensors"


def is_own(folder: Path) -> bool:
    """Whether a folder is in this format."""
    return (folder / RECIPE).is_file()


def write(model: nn.Module, folder: Path, *, max_shard_size: int | str) -> None:
    """Write a model that `check_whole` has passed."""
    from huggingface_hub import save_torch_state_dict

    write_recipe(folder / RECIPE, FORMAT, recipe_of(model))
    tensors = {name: value.detach().contiguous() for name, value in state_of(model).items()}
    opened = 'from sparsebench.models.moe import from_pretrained\n\nmodel = from_pretrained("this folder")'
    write_card(folder, type(model).__name__, opened)
    save_torch_state_dict(tensors, folder, filename_pattern=WEIGHTS, max_shard_size=max_shard_size)


def read(folder: Path) -> nn.Module:
    """The model in a folder. Raises `ModelError` for a newer format and for files that are damaged or do not fit."""
    recipe = read_recipe(folder / RECIPE, FORMAT)
    base = recipe["model"]
    hf = base["library"] != "timm"
    model = build(recipe, model_class(base).config_class.from_pretrained(folder) if hf else None)
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob(WEIGHTS.format(suffix="*"))):
        tensors |= read_tensors(file)
    check_same(tensors, model, f"{folder} does not fit its recipe")
    for name, value in tensors.items():
        # A clone is aligned in memory, which a file is not: products depend on that in the last bit.
        put(model, name, value.clone())
    if hf:
        model.tie_weights()
        load_generation_config(model, folder)
    declare(model, "moe")
    return model.eval()
