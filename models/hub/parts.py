"""What a room of this package has changed in a model: how it is written down, and built from that again."""

from __future__ import annotations

from typing import Any, Protocol

from torch import nn

from ..errors import ModelError
from .removed_layers import RemovedLayers
from .rooms import import_room


class Part(Protocol):
    """The layers that one room puts into models."""

    def holds(self, module: nn.Module) -> bool:
        """Whether a module is such a layer."""
        ...

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """All such layers of a model, in what JSON can say. Raises `ModelError` where that is not enough."""
        ...

    def build(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Put layers of this shape, on the devices of the model, in the places of the ones that its class makes."""
        ...


_parts: dict[str, Part] = {"removed": RemovedLayers()}


def register_part(room: str, part: Part) -> None:
    """Say what a room, a folder of `models/`, puts into models; its face does this when it is imported."""
    _parts[room] = part


def part_of(room: str) -> Part:
    """The part of a room, which is imported. Raises `ModelError` for a name in a file that is not one."""
    if room not in _parts:
        import_room(room)
    if room not in _parts:
        raise ModelError(f"this version knows no {room!r} layers, which the configuration names: update sparsebench")
    return _parts[room]


def in_order(parts: dict[str, Any]) -> list[tuple[str, Any]]:
    """Descriptions by room, as `parts_in` gives them, in the order in which to build: a part whose layers stand around
    those of other rooms (`acts_on_others`) comes last."""
    return sorted(parts.items(), key=lambda item: getattr(part_of(item[0]), "acts_on_others", False))


def known_parts() -> tuple[Part, ...]:
    """The parts of all rooms that were imported: no layer of another room can be in a model."""
    return tuple(_parts.values())


def parts_in(model: nn.Module) -> dict[str, Any]:
    """What each room has changed in a model, described. Raises `ModelError` where it cannot be."""
    found: dict[str, Any] = {}
    for room, part in _parts.items():
        if any(map(part.holds, model.modules())):
            found[room] = part.describe(model)
    return found
