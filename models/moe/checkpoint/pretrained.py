"""Our own checkpoint format, for every converted model: the dense model's configuration, how it was cut, and weights.

A folder holds `sparsebench_moe.json` (the recipe: model class, and per converted block its `MoEConfig`, sizes of the
experts and scale), the base model's `config.json`, and safetensors with every parameter and buffer, those that
transformers does not store included, so that a reloaded model computes bit for bit what the saved one did. Nothing in
it is executed. The weights are not called `model.safetensors`: plain `from_pretrained` then fails on such a folder,
rather than load a dense model with new weights in its feed-forward layers.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...errors import ModelError
from .atomic_folder import written
from .model_classes import model_class
from .skeleton import Recipe, build, recipe_of

FORMAT = 1
RECIPE = "sparsebench_moe.json"
WEIGHTS = "sparsebench_moe{suffix}.safetensors"


def save_pretrained(
    model: nn.Module, path: str | Path, *, tokenizer: Any = None, max_shard_size: int | str = "5GB"
) -> None:
    """Write a model that `convert` made from one of transformers, a GraphsGPT, or one of timm's by its name alone, to a
    new folder.

    `tokenizer` is saved along with it if given. Weights above `max_shard_size` (bytes, or as "5GB") are split over
    several files. Raises `ModelError`, and writes nothing, when the folder is not empty, when nothing in the model is
    converted, or when it holds something that its configuration and recipe do not bring back (an adapter, a changed
    head).
    """
    from huggingface_hub import save_torch_state_dict

    recipe = recipe_of(model)
    state = _state(model)
    rebuilt = build(recipe, copy.deepcopy(getattr(model, "config", None)))
    _check(state, rebuilt, f"this {type(model).__name__} is more than its configuration and its conversion")
    with written(path) as folder:
        text = json.dumps({"format": FORMAT} | recipe, indent=1)
        (folder / RECIPE).write_text(text + "\n", encoding="utf-8")
        parts: list[Any] = [getattr(model, name, None) for name in ("config", "generation_config")]
        for part in (*parts, tokenizer):
            if part is not None:
                part.save_pretrained(folder)
        tensors = {name: value.detach().contiguous() for name, value in state.items()}
        save_torch_state_dict(tensors, folder, filename_pattern=WEIGHTS, max_shard_size=max_shard_size)


def from_pretrained(path: str | Path) -> nn.Module:
    """The model that `save_pretrained` wrote: on the CPU, in its dtype, in eval mode, every parameter trainable.

    Raises `ModelError` for a folder that is not ours, a newer format, a damaged file, and tensors that are missing,
    unknown or of another shape.
    """
    folder = Path(path)
    recipe = _read_recipe(folder)
    base = recipe["model"]
    hf = base["library"] != "timm"
    model = build(recipe, model_class(base).config_class.from_pretrained(folder) if hf else None)
    tensors = _read_weights(folder)
    _check(tensors, model, f"{folder} does not fit its recipe")
    for name, value in tensors.items():
        # A clone is aligned in memory, which a file is not: products depend on that in the last bit.
        _put(model, name, value.clone())
    if hf:
        model.tie_weights()
        if (folder / "generation_config.json").is_file():
            from transformers import GenerationConfig

            model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer, tied ones once."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _check(tensors: dict[str, Tensor], model: nn.Module, complaint: str) -> None:
    """Raise a `ModelError` unless the names and shapes are those of the model."""
    wanted = _state(model)
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
    if not file.is_file():
        raise ModelError(f"{folder} has no {RECIPE}: it was not written by sparsebench.models.moe.save_pretrained")
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
