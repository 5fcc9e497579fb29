"""The one door by which models are saved, whatever was done to them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import ModelError
from .atomic_folder import written
from .comparison import check_outputs, few_rows
from .declaration import declare
from .folder_card import OPENED, name_own_weights, packages_in, write_card
from .loading import all_parts, assembled
from .model_classes import base_recipe
from .models import ChangedModel
from .older_folders import ELSEWHERE
from .own_folders import save_generation_config, state_of, write_own
from .parts import folder_part, folder_parts_in, in_words, parts_in


def save(
    model: nn.Module,
    folder: str | Path,
    *,
    tokenizer: Any = None,
    example: Any = None,
    like: nn.Module | None = None,
    max_shard_size: int | str = "5GB",
) -> None:
    """Write a model to a new folder from which `load` brings back every bit of it.

    Dense models, converted (MoE), trimmed, pruned and dynamic ones of transformers, partitioned and compact too, are
    written by their own `save_pretrained`, so that the Auto classes open them, too. Models of timm, and models that are
    quantised or carry adapters, are written in a format of our own. All of these may have been done to one model.

    Before anything is written a model is built of what the files will say. It must take the same tensors and give the
    same outputs: what the files cannot say (a changed head, a hook, a router of another class) is named and refused.

    Args:
        model: of transformers, a GraphsGPT, or of timm by its name alone; it stays as it is, but one of transformers
            without attentions or FFNs gets the class that says so.
        folder: its path; it appears whole or not at all.
        tokenizer: saved along with the model, by its `save_pretrained`.
        example: inputs on which outputs are compared, as keywords in a mapping, or the one argument. By default a few
            random token ids, pixel values or a molecule.
        like: for any other class, a new model as your code builds it before any change, on whatever device. It is used
            up; `load` needs such a one again.
        max_shard_size: weights above it (bytes, or as "5GB") are split over several files.

    Raises:
        ModelError: nothing is written: the folder is not empty, the model is more than the files would say, nobody
            knows its class (give `like`), or it takes inputs that are not known here (give `example`).

    Example::

        model = convert(LlamaForCausalLM.from_pretrained(name), MoEConfig(num_experts=8))
        attach(model, LoRAConfig(r=8))
        save(model, "adapted")
        model = load("adapted")  # in another process; `adapter_sets(model)` has the adapters
    """
    recipe, tensors, config = _taken(model, like is None)
    changes = all_parts(recipe, config)
    if example is None:
        example = few_rows(model)
    if example is None:
        raise ModelError(
            f"save compares outputs before it writes, and does not know what a {type(model).__name__} takes (or it is "
            "not on one device): give example=, keywords in a mapping or the one argument"
        )
    complaint = f"this {type(model).__name__} is more than its configuration and its parts"
    # As it will be read: through JSON.
    rebuilt = assembled(json.loads(json.dumps(recipe)), copy.deepcopy(config), dict(tensors), like, complaint)
    check_outputs(model, rebuilt, complaint, example)
    with written(folder) as new:
        if config is not None and recipe.keys() == {"model"}:
            base: Any = model
            base.save_pretrained(new, max_shard_size=max_shard_size)
        else:
            write_card(new, type(model).__name__, OPENED, packages_in(recipe), in_words(changes))
            if config is not None:
                config.save_pretrained(new)
                name_own_weights(new)
                save_generation_config(model, new)
            write_own(new, recipe, tensors, max_shard_size)
        if tokenizer is not None:
            tokenizer.save_pretrained(new)


def _taken(model: Any, known: bool) -> tuple[dict[str, Any], dict[str, Tensor], Any]:
    """The recipe of a model, its tensors as in a file, and its configuration if it is of transformers."""
    parts = parts_in(model)
    for room in parts:
        declare(model, room)
    if known:
        base = base_recipe(model)
    else:
        base = {"room": ELSEWHERE, "class": type(model).__name__}
    config = None
    if "changed" in base:
        config = copy.deepcopy(model.config)
        if isinstance(model, ChangedModel):
            config.sparsebench = config.sparsebench | {"parts": parts}
        parts = {}
    own = folder_parts_in(model)
    tensors = {name: value.detach() for name, value in state_of(model).items()}
    recipe = {"model": base} | parts | own
    for name in all_parts(recipe, config):
        part = folder_part(name)
        if part is not None:
            part.store(model, tensors)
    return recipe, tensors, config
