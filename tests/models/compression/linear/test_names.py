"""Regular expressions on names, and those that say nothing."""

import pytest

from sparsebench.models.compression.linear.names import Names
from sparsebench.models.errors import ModelError

NAMES = ["layers.0.up", "layers.0.down", "layers.10.up"]


@pytest.mark.parametrize(
    ("targets", "ignore", "chosen"),
    [
        ((), (), [True, True, True]),
        (("up", "down"), (), [True, True, True]),
        (("up$",), (), [True, False, True]),
        ((), (r"layers\.0\.",), [False, False, True]),
        (("up",), ("10",), [True, False, False]),
    ],
)
def test_what_is_meant(targets: tuple[str, ...], ignore: tuple[str, ...], chosen: list[bool]) -> None:
    assert Names(targets, ignore).chosen(NAMES) == chosen


def test_mistakes() -> None:
    with pytest.raises(ModelError, match=r"ignore: '\[' is no regular expression"):
        Names(ignore=("[",))
    with pytest.raises(ModelError, match="is a text, not several"):
        Names("up")  # type: ignore[arg-type]
    with pytest.raises(
        ModelError, match=r"targets: 'gate' is found in none of the 3 maps, such as layers\.0\.up, .*10\.up"
    ):
        Names(("gate",)).chosen(NAMES, "maps")
    with pytest.raises(ModelError, match="ignore leaves none"):
        Names(("up",), ("layers",)).chosen(NAMES)
