"""Giving a model the class that says what was changed in it, and taking that back."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import ModelError
from .auto_classes import changed
from .configs import ChangedConfig, unchanged
from .derived_classes import source_of
from .models import ChangedModel, set_class, switch_classes, with_layers
from .parts import part_of
from .timm_models import switch_timm_classes, withdraw_timm_classes


def declare(model: nn.Module, room: str) -> None:
    """Give `model`, and each model of transformers or timm in it, the class for changed models if a layer of `room` is
    in it.

    Configurations of transformers are replaced by copies: one that other models use as well stays as it is. Other
    modules stay as they are.
    """
    description: dict[str, Any] | None = None
    for inner in with_layers(model, room):
        if description is None:
            description = _description(inner, room)
        config = inner.config
        if not isinstance(config, ChangedConfig):
            config = changed(config)
            _replace(inner, inner.config, config)
        config.sparsebench["parts"][room] = description
    switch_classes(model, room)
    switch_timm_classes(model, room)


def withdraw(model: nn.Module, room: str) -> None:
    """Undo `declare` where no layer of `room` is left."""
    holds = part_of(room).holds
    withdraw_timm_classes(model)
    for inner in list(model.modules()):
        if not isinstance(inner, ChangedModel) or any(map(holds, inner.modules())):
            continue
        config = inner.config
        if isinstance(config, ChangedConfig):
            config.sparsebench["parts"].pop(room, None)
            if config.sparsebench["parts"]:
                continue
            _replace(inner, config, unchanged(config))
        set_class(inner, source_of(type(inner)))


def _description(model: nn.Module, room: str) -> dict[str, Any]:
    """What the configuration says of the layers; nothing of a model within others that cannot describe them.

    Whoever saves that one alone is told why.
    """
    try:
        return part_of(room).describe(model)
    except ModelError:
        return {}


def _replace(model: nn.Module, old: Any, new: Any) -> None:
    """Have all modules of a model that hold the one configuration hold the other."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if value is old:
                setattr(module, name, new)
