"""What the kernels are told of a packed matrix, and which they do not take."""

import pytest

from sparsebench.models.compression.quantisation.grid import Grid
from sparsebench.models.compression.quantisation.packed.kernels.codes import misfit

from .oracles import drawn, packed


@pytest.mark.parametrize(
    ("grid", "columns", "reason"),
    [
        (Grid(bits=4, group_size=64), 576, None),
        (Grid(bits=8, group_size=None), 7, None),
        (Grid(bits=4, group_size=48), 48, None),
        (Grid(bits=3, group_size=32), 576, None),
        (Grid(bits=4, group_size=16), 576, "groups of 16 columns are no multiples of 32"),
        (Grid(bits=8, group_size=100), 101, "groups of 100 columns are no multiples of 32"),
    ],
)
def test_which_grids_fit(grid: Grid, columns: int, reason: str | None) -> None:
    assert misfit(grid, columns) == reason


def test_bytes_groups_and_chunks_of_a_row() -> None:
    assert packed(drawn(3, 130), Grid(bits=4, group_size=64)).codes.layout == (4 * 17, 3, 2)
    assert packed(drawn(3, 300), Grid(bits=8, group_size=96)).codes.layout == (300, 4, 3)
    assert packed(drawn(3, 130), Grid(bits=8, group_size=None)).codes.layout == (132, 1, 5)


def test_one_expert_of_a_stack() -> None:
    stack = packed(drawn(4, 5, 70), Grid(bits=4, group_size=64, symmetric=False))
    one = stack.codes.expert(2)
    assert one.whole and one.outputs == 5 and one.columns == 70
    assert one.zero is not None
    assert one.pointers == stack[2].codes.pointers  # pyright: ignore[reportAttributeAccessIssue]
    assert not stack.map(lambda part: part.transpose(0, 1)).codes.whole
