"""Parts by the name of their room."""

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.hub.parts import folder_part, in_order, in_words, known_parts, part_of
from sparsebench.models.moe.checkpoint.part import MoELayers


def test_a_part_is_found_by_its_room() -> None:
    assert isinstance(part_of("moe"), MoELayers) and part_of("moe") in known_parts()


@pytest.mark.parametrize("name", ["nosuchroom", "describers", "os.path"])
def test_a_name_without_a_part_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=f"knows no '{name}' layers"):
        part_of(name)


def test_parts_that_lie_around_others_are_built_after_them() -> None:
    names = ["packed", "adapters", "dynamic", "compression", "moe"]
    assert [name for name, _ in in_order(dict.fromkeys(names))] == names[::-1]


def test_what_only_folders_say_is_no_part_of_a_configuration() -> None:
    part = part_of("packed")  # of the room "compression"
    assert folder_part("packed") is part and part not in known_parts()
    assert folder_part("moe") is None
    both = part_of("dynamic")
    assert folder_part("dynamic") is both and both in known_parts(), (
        "in configurations, with a form of its own in files"
    )


def test_what_was_changed_in_words() -> None:
    parts = {"packed": {}, "removed": {"mlp": [1], "attention": [0, 1]}, "moe": {"blocks": {}}}
    packed, moe = (f"layers of `sparsebench.models.{room}`" for room in ("compression", "moe"))
    assert in_words(parts) == f"2 attentions and 1 FFNs removed; {moe}; {packed}"
