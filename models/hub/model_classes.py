"""Names for the base models of checkpoints, and the classes behind the names.

A base is of transformers, of timm, or of a room of this package: a folder of `models/` whose face names classes of its
own in the form of transformers. Rooms are found by name, so that this file knows none of them.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import ModelError, optional
from .derived_classes import source_of
from .models import changed_class
from .rooms import class_of, room_of
from .timm_models import timm_name


def base_recipe(model: nn.Module) -> dict[str, Any]:
    """What `base_model` needs to know besides a configuration: `room` (None for transformers), `class`, and for timm
    the number of classes, else whether the class is `changed`. Raises `ModelError` for a class that nobody else has.
    """
    import transformers

    base: Any = model
    cls = source_of(type(model))
    name = cls.__name__
    room = room_of(cls)
    of_transformers = isinstance(model, transformers.PreTrainedModel) and getattr(transformers, name, None) is cls
    if of_transformers or (room is not None and class_of(room, name) is cls):
        return {"room": room, "class": name, "changed": cls is not type(model)}
    architecture = timm_name(model)
    if architecture is not None:
        return {"room": "timm", "class": architecture, "num_classes": base.num_classes}
    raise ModelError(
        f"{name} is no model of transformers or timm by its name, nor a GraphsGPT: give `like`, a new model as your "
        "code builds it before any change, to save and to load; or save its state_dict yourself"
    )


def base_model(recipe: dict[str, Any], config: Any) -> nn.Module:
    """A new model; `config` is its configuration, None for one of timm."""
    if recipe["room"] == "timm":
        with optional():
            import timm

        return timm.create_model(recipe["class"], num_classes=recipe["num_classes"])
    cls = model_class(recipe["room"], recipe["class"])
    return changed_class(cls)(config) if recipe["changed"] else cls(config)


def model_class(room: str | None, name: str) -> Any:
    """The class of a model by its name.

    Args:
        room: where it is; None is transformers.
        name: of the class.

    Returns:
        The class.

    Raises:
        ModelError: there is none.
    """
    import transformers

    found = getattr(transformers, name, None) if room is None else class_of(room, name)
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        raise ModelError(f"the installed {room or 'transformers'} has no model {name!r}: install a version that has it")
    return found
