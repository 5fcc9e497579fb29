"""The one door by which saved models come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .configs import MODEL_TYPE, ChangedConfig
from .declaration import declare
from .derived_classes import PREFIX
from .folder_card import OWN_WEIGHTS
from .foreign_configs import refuse_foreign
from .load_report import no_report
from .model_classes import base_model, model_class
from .models import align, changed_class
from .older_folders import ELSEWHERE
from .own_folders import RECIPE, check_same, is_own_folder, load_generation_config, put_all, read_own
from .parts import finish_parts, folder_part, in_order, known_parts, part_of
from .rooms import import_room, room_of
from .timm_folders import is_timm_folder, load_timm_folder


def load(folder: str | Path, *, like: nn.Module | None = None) -> nn.Module:
    """The model in a folder that `save` wrote, or an older version, or `save_pretrained`, or of a changed model timm's
    `save_for_hf`: to the last bit what it was.

    Args:
        folder: its path.
        like: a new model as your code builds it, which is changed in place: for a folder whose model no name builds.
            For a compact model of an older version it has been made dynamic as the saved one was.

    Returns:
        The model, on the CPU, in its dtype and in eval mode. Adapters are attached, and everything else is frozen then;
        without adapters every parameter is trainable that can be. Packed weights stay packed, and no dense ones are
        made on the way.

    Raises:
        ModelError: for a folder that is not whole, damaged, of a newer format or of a model that transformers would
            open wrongly, and where tensors are missing, unknown or of another shape. `like` is of no use then.

    Example::

        model = load("adapted")
        model = load("own", like=MyModel())  # as in save(model, "own", like=MyModel())
    """
    folder = Path(folder)
    if not is_own_folder(folder):
        if like is not None:
            raise ModelError(f"{folder} says of which class its model is: load it without `like`")
        return _load_pretrained(folder)
    recipe, tensors = read_own(folder)
    config = None
    if (folder / "config.json").is_file():
        from transformers import AutoConfig

        import_room(recipe["model"]["room"] or "hub")  # which has the Auto classes know its configurations
        config = AutoConfig.from_pretrained(folder)
        vars(config).pop("transformers_weights", None)  # which is for those without this package
    model = assembled(recipe, config, tensors, like, f"{folder} does not fit its recipe")
    load_generation_config(model, folder)
    return model


def assembled(
    recipe: dict[str, Any], config: Any, tensors: dict[str, Tensor], like: nn.Module | None, complaint: str
) -> nn.Module:
    """The model of a recipe, in eval mode.

    Args:
        recipe: the model's class, and what was done to it.
        config: its configuration, if it is of transformers.
        tensors: by name.
        like: a new model, where no name builds it.
        complaint: how the error begins.

    Returns:
        The model.

    Raises:
        ModelError: they do not fit each other.
    """
    base = recipe["model"]
    model = like
    if like is None:
        if base["room"] == ELSEWHERE:
            raise ModelError(f"{complaint}: no file builds a {base['class']}; build a new one and give it as `like`")
        with torch.device("meta"):
            model = base_model(base, config)
    assert model is not None
    for name, description in in_order({name: recipe[name] for name in recipe if name != "model"}):
        part = part_of(name)
        if folder_part(name) is not None or like is None or not any(map(part.holds, like.modules())):
            part.build(model, description)
        if part in known_parts():
            declare(model, name)
    parts = all_parts(recipe, config)
    for name, description in reversed(in_order(parts)):
        own = folder_part(name)
        if own is not None:
            own.restore(model, description, tensors)
    check_same(tensors, model, complaint)
    put_all(model, tensors)
    finish_parts(model, parts)
    return model.eval()


def all_parts(recipe: dict[str, Any], config: Any) -> dict[str, Any]:
    """Descriptions by room: of a recipe, and of the configuration of a changed model of transformers."""
    said = config.sparsebench["parts"] if isinstance(config, ChangedConfig) else {}
    return said | {name: recipe[name] for name in recipe if name != "model"}


def _load_pretrained(folder: Path) -> nn.Module:
    """A model of transformers, changed or not, that the Auto classes would open, too."""
    from safetensors import SafetensorError

    fields = _config_fields(folder)
    if is_timm_folder(fields):
        return load_timm_folder(folder, fields)
    try:
        with no_report():
            model, found = _from_pretrained(folder, fields)
    except ModelError:
        raise
    except SafetensorError as error:
        raise ModelError(f"a file in {folder} is damaged or cut short ({error}): copy it again") from error
    except OSError as error:
        raise ModelError(f"in {folder} a file is missing: {error}") from error
    except Exception as error:  # a configuration may be wrong in any way: TypeError, KeyError, ...
        raise ModelError(f"{folder} does not fit its configuration: {type(error).__name__}: {error}") from error
    wrong = []
    for key, problem in (("missing_keys", "missing"), ("unexpected_keys", "unknown"), ("mismatched_keys", "misshapen")):
        if found[key]:
            wrong.append(f"{problem}: {', '.join(sorted(map(str, found[key]))[:3])}")
    if wrong:
        raise ModelError(f"{folder} does not fit its configuration: tensors {'; '.join(wrong)}")
    align(model)
    return model


def _from_pretrained(folder: Path, fields: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The model, and what transformers found of tensors that do not fit it."""
    from transformers import AutoConfig

    cls: Any
    if fields["model_type"] == MODEL_TYPE:
        config = AutoConfig.from_pretrained(folder)
        room = config.sparsebench["source"]["room"]
        cls = changed_class(model_class(room, _architecture(config).removeprefix(PREFIX)))
    else:
        import_room(fields["model_type"])  # a model of ours: transformers knows it from now on
        refuse_foreign(fields, str(folder))
        config = AutoConfig.from_pretrained(folder)
        cls = model_class(room_of(type(config)), _architecture(config))
    return cls.from_pretrained(folder, config=config, output_loading_info=True, ignore_mismatched_sizes=True)


def _architecture(config: Any) -> str:
    if not config.architectures:
        raise ModelError(f"{config.name_or_path} does not say of which class its model is: it is not whole")
    return config.architectures[0]


def _config_fields(folder: Path) -> dict[str, Any]:
    """What `config.json` says. Raises `ModelError` where there is none, or another kind of file."""
    file = folder / "config.json"
    if (folder / "adapters.json").is_file():
        raise ModelError(f"{folder} holds adapters without their model: adapters.load_adapters(model, folder)")
    if not file.is_file():
        how_to_open = import_room("official").how_to_open(folder)
        raise ModelError(how_to_open or f"{folder} has no config.json: it was not written by sparsebench.models.save")
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        if not is_timm_folder(fields):
            fields |= {"model_type": fields["model_type"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is damaged: {error!r}") from error
    if fields.get("transformers_weights") == OWN_WEIGHTS:
        raise ModelError(f"{folder} does not say of which class its model is: it is not whole, without {RECIPE}")
    return fields
