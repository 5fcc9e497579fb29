"""Which layout a checkpoint is of."""

import pytest

from sparsebench.models.official.checkpoint import Checkpoint
from sparsebench.models.official.layouts import LAYOUTS, layout, recognise

from .folders import ATTENTION, CONDITIONED, ONE_WORD, RECORDED, RESIDUAL, TWO_WORDS, V1, V2

WANTED = {
    V1: "llama_moe_v1",
    **dict.fromkeys((V2, RESIDUAL, ATTENTION), "llama_moe_v2"),
    **dict.fromkeys((ONE_WORD, TWO_WORDS, CONDITIONED), "graphsgpt"),
}


@pytest.mark.parametrize("name", WANTED)
def test_one_layout_fits(name: str) -> None:
    """No other one does, so that their order is of no account."""
    checkpoint = Checkpoint(RECORDED / name)
    assert recognise(checkpoint) == WANTED[name]
    assert [known for known in LAYOUTS if layout(known).fits(checkpoint)] == [WANTED[name]]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_names_its_authors(name: str) -> None:
    assert "/" in layout(name).TITLE
