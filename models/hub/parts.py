"""What a room of this package has changed in a model: how it is written down, and built from that again."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from ..errors import ModelError
from .removed_layers import RemovedLayers
from .rooms import import_room


class Part(Protocol):
    """The layers that one room puts into models.

    `floor` (0 where a part has none): parts are built from low floors to high ones, so that layers that stand around
    those of other rooms come after them. `words(description)`, where a part has it, says for a model card what was
    described.
    """

    def holds(self, module: nn.Module) -> bool:
        """Whether a module is such a layer."""
        ...

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """All such layers of a model, in what JSON can say. Raises `ModelError` where that is not enough."""
        ...

    def build(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Put layers of this shape, on the devices of the model, in the places of the ones that its class makes."""
        ...


class FolderPart(Part, Protocol):
    """Layers whose tensors have another form in files, or of which files do not say all.

    One that is not registered by `register_part`, too, only folders of our own can say: the Auto classes of
    transformers do not build it.
    """

    floor: int

    def store(self, model: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Give the tensors of a model, by name, the form that they have in a file."""
        ...

    def restore(self, model: nn.Module, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Undo `store` for a model that `build` has made. Raises `ModelError` for tensors that are missing."""
        ...

    def finish(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Do what needs the values of a model: its tensors are there now."""
        ...


_parts: dict[str, Part] = {"removed": RemovedLayers()}
_folder_parts: dict[str, FolderPart] = {}
_ROOMS = {"packed": "compression"}
"""The rooms of parts that go by another name."""


def register_part(room: str, part: Part) -> None:
    """Say what a room, a folder of `models/`, puts into models; its face does this when it is imported.

    Args:
        room: the name of the folder.
        part: its layers.
    """
    _parts[room] = part


def register_folder_part(name: str, part: FolderPart) -> None:
    """Say what a room puts into models that has a form of its own in files.

    Args:
        name: of the part.
        part: what it is.
    """
    _folder_parts[name] = part


def part_of(name: str) -> Part:
    """The part of a room, which is imported.

    Args:
        name: of the room.

    Raises:
        ModelError: there is none, as a file of a newer version may say.
    """
    if name not in _parts and name not in _folder_parts:
        import_room(_ROOMS.get(name, name))
    found = _parts.get(name) or _folder_parts.get(name)
    if found is None:
        raise ModelError(f"this version knows no {name!r} layers, which the configuration names: update sparsebench")
    return found


def in_order(parts: dict[str, Any]) -> list[tuple[str, Any]]:
    """Descriptions by room, as `parts_in` gives them, in the order in which to build: by `Part`'s floors."""
    return sorted(parts.items(), key=lambda item: getattr(part_of(item[0]), "floor", 0))


def known_parts() -> tuple[Part, ...]:
    """The parts of all rooms that were imported: no layer of another room can be in a model."""
    return tuple(_parts.values())


def parts_in(model: nn.Module) -> dict[str, Any]:
    """What each room has changed in a model, described, so far as a configuration of transformers can hold it.

    Raises `ModelError` where it cannot be described.
    """
    return _described(model, _parts)


def folder_parts_in(model: nn.Module) -> dict[str, Any]:
    """Likewise what only folders of our own can say."""
    return _described(model, {name: part for name, part in _folder_parts.items() if name not in _parts})


def folder_part(name: str) -> FolderPart | None:
    """The part of this name if it has a form of its own in files."""
    return _folder_parts.get(name)


def finish_parts(model: nn.Module, parts: dict[str, Any]) -> None:
    """Do what parts need once a model has its values.

    Args:
        model: the model.
        parts: descriptions by room.
    """
    for name, description in in_order(parts):
        part = folder_part(name)
        if part is not None:
            part.finish(model, description)


def in_words(parts: dict[str, Any]) -> str:
    """What was changed in a model, for a reader, from its description by room."""
    said = []
    for name, description in in_order(parts):
        words = getattr(part_of(name), "words", None)
        if words is None or not description:
            said.append(f"layers of `sparsebench.models.{_ROOMS.get(name, name)}`")
        else:
            said.append(words(description))
    return "; ".join(said)


def _described(model: nn.Module, parts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in parts.items():
        if any(map(part.holds, model.modules())):
            found[name] = part.describe(model)
    return found
