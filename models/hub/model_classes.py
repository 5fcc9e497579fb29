"""Names for the base models of checkpoints, and the classes behind the names.

A base is of transformers, of timm, or of a room of this package: a folder of `models/` whose face names classes of its
own in the form of transformers. Rooms are found by name, so that this file knows none of them.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import ModelError
from .derived_classes import source_of
from .rooms import class_of, room_of


def base_recipe(model: nn.Module) -> dict[str, Any]:
    """What `base_model` needs to know besides a configuration. Raises `ModelError` for a class that nobody else has."""
    import transformers

    base: Any = model
    cls = source_of(type(model))
    name = cls.__name__
    if isinstance(model, transformers.PreTrainedModel) and getattr(transformers, name, None) is cls:
        return {"library": "transformers", "class": name}
    room = room_of(cls)
    if room is not None and class_of(room, name) is cls:
        return {"library": room, "class": name}
    if cls.__module__.startswith("timm."):
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
    found = getattr(transformers, name, None) if library == "transformers" else class_of(library, name)
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        raise ModelError(f"the installed {library} has no model {name!r}: install a version that has it")
    return found
