"""Converted models on disk and back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import ModelError
from ...hub.atomic_folder import written
from ...hub.configs import MODEL_TYPE
from ...hub.derived_classes import PREFIX
from ...hub.foreign_configs import refuse_foreign
from ...hub.model_classes import model_class
from ...hub.models import ChangedModel, changed_class
from ...hub.own_folders import check_same, put, state_of
from ...hub.parts import parts_in
from .comparison import check_outputs
from .own_format import is_own, read, write
from .skeleton import build, recipe_of


def save_pretrained(
    model: nn.Module, path: str | Path, *, tokenizer: Any = None, max_shard_size: int | str = "5GB"
) -> None:
    """Write a converted model to a new folder, which appears whole or not at all.

    It holds what brings every bit of the model back; of a model of transformers it is what the model's own
    `save_pretrained` writes.

    Args:
        model: what `convert` made from a model of transformers, a GraphsGPT, or one of timm's by its name alone.
        path: a folder that is not there, or is empty.
        tokenizer: is saved along with the model if given.
        max_shard_size: weights above this size (bytes, or as "5GB") are split over several files.

    Raises:
        ModelError: the folder is not empty, nothing in the model is converted, or it holds something that its
            configuration and recipe do not bring back (an adapter, a changed head, a router of another class): what
            they bring back must take the same tensors and give the same outputs on a few rows. Nothing is written.

    Example::

        model = convert(LlamaForCausalLM.from_pretrained(name), MoEConfig(num_experts=8))
        save_pretrained(model, "experts")  # or model.save_pretrained("experts")
        # in another process, after `import sparsebench.models.moe`:
        model = AutoModelForCausalLM.from_pretrained("experts")  # or moe.from_pretrained("experts")
    """
    check_whole(model)
    with written(path) as folder:
        if isinstance(model, ChangedModel):
            model.save_pretrained(folder, max_shard_size=max_shard_size)
        else:
            write(model, folder, max_shard_size=max_shard_size)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)


def from_pretrained(path: str | Path) -> nn.Module:
    """The model that `save_pretrained`, ours or its own, wrote.

    Args:
        path: the folder.

    Returns:
        The model: on the CPU, in its dtype, in eval mode, every parameter trainable.

    Raises:
        ModelError: a folder that is not ours, a newer format, a damaged file, and tensors that are missing, unknown or
            of another shape.
    """
    folder = Path(path)
    if is_own(folder):
        return read(folder)
    return _read_changed(folder)


def check_whole(model: nn.Module) -> None:
    """Raise a `ModelError` where configuration and recipe would not bring a model back.

    A model is made of them, which gets the tensors of the given one: it must take just these, and compute the same.
    """
    recipe = recipe_of(model)
    if isinstance(model, ChangedModel):
        config = copy.deepcopy(model.config)
        config.sparsebench["parts"] = parts_in(model)
        with torch.device("meta"):
            rebuilt = type(model)(config)
    else:
        rebuilt = build(recipe, None)
    complaint = f"this {type(model).__name__} is more than its configuration and its conversion"
    tensors = state_of(model)
    check_same(tensors, rebuilt, complaint)
    for name, value in tensors.items():
        put(rebuilt, name, value)
    if isinstance(model, ChangedModel):
        rebuilt.tie_weights()
    check_outputs(model, rebuilt, complaint)


def _read_changed(folder: Path) -> nn.Module:
    from safetensors import SafetensorError
    from transformers import AutoConfig

    _check_config(folder)
    config = AutoConfig.from_pretrained(folder)
    room = config.sparsebench["source"]["room"]
    name = _architecture(config).removeprefix(PREFIX)
    cls = changed_class(model_class({"library": room or "transformers", "class": name}))
    try:
        model, found = cls.from_pretrained(folder, config=config, output_loading_info=True)
    except SafetensorError as error:
        raise ModelError(f"a file in {folder} is damaged or cut short ({error}): copy it again") from error
    except OSError as error:
        raise ModelError(f"in {folder} a file is missing: {error}") from error
    except RuntimeError as error:  # other shapes
        raise ModelError(f"{folder} does not fit its configuration: {error}") from error
    if found["missing_keys"] or found["unexpected_keys"]:
        raise ModelError(
            f"{folder} does not fit its configuration: tensors missing {sorted(found['missing_keys'])[:3]}, "
            f"unknown {sorted(found['unexpected_keys'])[:3]}"
        )
    return model


def _architecture(config: Any) -> str:
    names = config.architectures or [""]
    return names[0]


def _check_config(folder: Path) -> None:
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{folder} has no config.json: it was not written by sparsebench.models.moe.save_pretrained")
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        kind = fields.get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{file} is damaged: {error!r}") from error
    if kind != MODEL_TYPE:
        refuse_foreign(fields, str(folder))
        raise ModelError(
            f"{folder} holds a {kind}: it was not written by sparsebench.models.moe.save_pretrained, so that "
            "from_pretrained of transformers opens it"
        )
