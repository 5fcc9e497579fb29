"""Folders in a format of our own: a recipe in JSON, and safetensors with every parameter and buffer of a model.

`sparsebench.json` says of which class the `model` is and describes its parts by name; a model of transformers has its
`config.json` too. Nothing in a folder is executed. Older versions had a format for each kind of model, which are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ModelError
from . import older_folders

FORMAT = 1
RECIPE = "sparsebench.json"
WEIGHTS = "sparsebench{suffix}.safetensors"
OLDER_RECIPES = {
    "sparsebench_packed.json": older_folders.packed,
    "sparsebench_moe.json": older_folders.converted,
    "sparsebench_compact.json": older_folders.compact,
}
"""Recipes of older versions, and what makes today's of them."""


def is_own_folder(folder: str | Path) -> bool:
    """Whether a folder was written in our own format, of today or before, to its end."""
    return any((Path(folder) / name).is_file() for name in (RECIPE, *OLDER_RECIPES))


def write_own(
    folder: Path, recipe: Mapping[str, Any], tensors: Mapping[str, Tensor], max_shard_size: int | str
) -> None:
    """Write weights, in several files if they are larger than `max_shard_size`, and then the recipe."""
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    whole = {name: value.contiguous() for name, value in tensors.items()}
    shards = split_torch_state_dict_into_shards(whole, filename_pattern=WEIGHTS, max_shard_size=max_shard_size)
    for file, names in shards.filename_to_tensors.items():
        save_file({name: whole[name] for name in names}, folder / file)
    text = json.dumps({"format": FORMAT, **recipe}, indent=1)
    (folder / RECIPE).write_text(text + "\n", encoding="utf-8")


def read_own(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Recipe and tensors of a folder.

    Args:
        folder: in a format of our own.

    Raises:
        ModelError: it is damaged, not whole, or of a newer format.
    """
    name = next(name for name in (RECIPE, *OLDER_RECIPES) if (folder / name).is_file())
    recipe = read_recipe(folder / name, FORMAT)
    del recipe["format"]
    files = sorted(folder.glob(f"{name.removesuffix('.json')}*.safetensors"))
    if not files:
        raise ModelError(f"{folder} has a {name} and no weights: it is not whole")
    _check_of_one_save(files)
    tensors: dict[str, Tensor] = {}
    for file in files:
        # A clone is aligned in memory, which a file is not: products depend on that in the last bit.
        tensors |= {key: value.clone() for key, value in read_tensors(file).items()}
    if name in OLDER_RECIPES:
        try:
            recipe = OLDER_RECIPES[name](recipe, tensors)
        except KeyError as error:
            raise ModelError(f"{folder} is not whole: {name} or its weights have no {error}") from error
    if "model" not in recipe:
        raise ModelError(f"{folder / name} does not say of which class the model is: it is damaged")
    return recipe, tensors


def _check_of_one_save(files: Sequence[Path]) -> None:
    """Refuse the weights of two saves beside each other, as a copy over an older folder leaves them."""
    if len({file.stem.rpartition("-of-")[2] for file in files}) > 1:
        names = ", ".join(file.name for file in files)
        raise ModelError(f"{files[0].parent} has weights of more than one save ({names}): copy it into an empty folder")


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
    """The tensors of a safetensors file by name.

    Args:
        file: the file.

    Raises:
        ModelError: it is damaged or cannot be read.
    """
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
    """Compare names and shapes of tensors with those of a model.

    Buffers that it computes when it is made need not be there, once they have been computed (older folders have none).

    Args:
        tensors: by name.
        model: the model.
        complaint: how the error begins.

    Raises:
        ModelError: they differ.
    """
    wanted = state_of(model)
    for path, module in model.named_modules():
        for leaf in module._non_persistent_buffers_set:
            name = f"{path}.{leaf}".lstrip(".")
            if name in wanted and name not in tensors and not wanted[name].is_meta:
                del wanted[name]
    common = wanted.keys() & tensors.keys()
    found = {
        "missing": sorted(wanted.keys() - common),
        "unknown": sorted(tensors.keys() - common),
        "of another shape": sorted(name for name in common if wanted[name].shape != tensors[name].shape),
    }
    parts = [f"{len(names)} {kind}, as {names[0]}" for kind, names in found.items() if names]
    if parts:
        raise ModelError(f"{complaint}: tensors {'; '.join(parts)}")


def put_all(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors where the model has parameters and buffers of these names, at every place of those that are tied.

    The model may be on the meta device. Parameters keep what they say of gradients.
    """
    places: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, value in (*module._parameters.items(), *module._buffers.items()):
            places.setdefault(id(value), []).append((module, name))
    old = state_of(model)
    for name, value in tensors.items():
        found = old[name]
        made: Any = value
        if isinstance(found, nn.Parameter):
            trains = found.requires_grad and value.is_floating_point() and type(value) is Tensor
            made = nn.Parameter(value, requires_grad=trains)
        for module, leaf in places[id(found)]:
            holder: Any = module._parameters if leaf in module._parameters else module._buffers
            holder[leaf] = made


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
