"""Rooms of the package and their classes, by name."""

import pytest

from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.hub.rooms import class_of, import_room, room_of


def test_a_class_of_a_room() -> None:
    assert room_of(Graph2Seq) == "graphsgpt" and class_of("graphsgpt", "Graph2Seq") is Graph2Seq
    assert room_of(dict) is None


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("graphsgpt", "import_module"),  # not part of the face
        ("nosuchroom", "Graph2Seq"),
        ("os.path", "join"),  # not a room of ours
        ("..data", "Graph2Seq"),
    ],
)
def test_anything_else_is_nothing(room: str, name: str) -> None:
    assert class_of(room, name) is None


def test_only_rooms_are_imported() -> None:
    assert import_room("os.path") is None and import_room("moe").__name__ == "sparsebench.models.moe"
