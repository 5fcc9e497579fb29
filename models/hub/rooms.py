"""Classes of transformers and of the rooms of this package, by name."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

_ROOMS = __name__.removesuffix(".hub.rooms")


def import_room(room: str) -> Any:
    """The face of a folder of `models/`, or None. A room named by a file is imported only if it is one of ours."""
    if not room.isidentifier() or importlib.util.find_spec(f"{_ROOMS}.{room}") is None:
        return None
    return importlib.import_module(f"{_ROOMS}.{room}")


def room_of(cls: type) -> str | None:
    """The folder of `models/` that a class comes from."""
    if not cls.__module__.startswith(f"{_ROOMS}."):
        return None
    return cls.__module__.removeprefix(f"{_ROOMS}.").partition(".")[0]


def class_of(room: str, name: str) -> Any:
    """What the face of a room calls `name`, or None."""
    face = import_room(room)
    if name not in getattr(face, "__all__", ()):
        return None
    return getattr(face, name, None)
