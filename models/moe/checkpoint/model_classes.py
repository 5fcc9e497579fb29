"""Names for the base models of checkpoints, and the classes behind the names.

A base is of transformers, of timm, or of a room of this package: a folder of `models/` whose face names classes of its
own in the form of transformers. Rooms are found by name, so that this file knows none of them.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from torch import nn

from ...errors import ModelError

_ROOMS = __name__.removesuffix(".moe.checkpoint.model_classes")


def base_recipe(model: nn.Module) -> dict[str, Any]:
    """What `base_model` needs to know besides a configuration. Raises `ModelError` for a class that nobody else has."""
    import transformers

    base: Any = model
    name = type(model).__name__
    if isinstance(model, transformers.PreTrainedModel) and getattr(transformers, name, None) is type(model):
        return {"library": "transformers", "class": name}
    room = _room_of(type(model))
    if room is not None and _class_of(room, name) is type(model):
        return {"library": room, "class": name}
    if type(model).__module__.startswith("timm."):
        return {"library": "timm", "architecture": base.pretrained_cfg["architecture"], "num_classes": base.num_classes}
    raise ModelError(f"{name} is no model of transformers or timm, nor a GraphsGPT: save its state_dict yourself")


def base_model(recipe: dict[str, Any], config: Any) -> nn.Module:
    """A new model; `config` is its configuration, None for one of timm."""
    if recipe["library"] == "timm":
        import timm

        return timm.create_model(recipe["architecture"], num_classes=recipe["num_classes"])
    return model_class(recipe)(config)


def model_class(recipe: dict[str, Any]) -> Any:
    """The class of transformers, or of a room, that a base recipe names. Raises `ModelError` for anything else."""
    import transformers

    library = recipe["library"]
    name = recipe["class"]
    found = getattr(transformers, name, None) if library == "transformers" else _class_of(library, name)
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        raise ModelError(f"the installed {library} has no model {name!r}: install a version that has it")
    return found


def _room_of(cls: type) -> str | None:
    """The folder of `models/` that a class comes from."""
    if not cls.__module__.startswith(f"{_ROOMS}."):
        return None
    return cls.__module__.removeprefix(f"{_ROOMS}.").partition(".")[0]


def _class_of(room: str, name: str) -> Any:
    """What the face of a room calls `name`, or None. A room named by a file is imported only if it is one of ours."""
    if not room.isidentifier() or importlib.util.find_spec(f"{_ROOMS}.{room}") is None:
        return None
    face = importlib.import_module(f"{_ROOMS}.{room}")
    return getattr(face, name, None) if name in getattr(face, "__all__", ()) else None
