"""Parts by the name of their room."""

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.hub.parts import known_parts, part_of
from sparsebench.models.moe.checkpoint.part import MoELayers


def test_a_part_is_found_by_its_room() -> None:
    assert isinstance(part_of("moe"), MoELayers) and part_of("moe") in known_parts()


@pytest.mark.parametrize("name", ["nosuchroom", "describers", "os.path"])
def test_a_name_without_a_part_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=f"knows no '{name}' layers"):
        part_of(name)
