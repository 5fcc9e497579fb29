"""Grids of integers: reach, half steps, zero, tails of groups, and what no grid can hold."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.compression.quantisation.grid import Grid, GridPoints, Quantised, round_to_nearest
from sparsebench.models.errors import ModelError

GRIDS = [
    Grid(bits=bits, group_size=size, symmetric=symmetric)
    for bits in (2, 3, 4, 5, 8)
    for size in (None, 7, 16)
    for symmetric in (True, False)
]


def weight(seed: int = 0, rows: int = 5, columns: int = 23) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.2


def distance(value: float, scale: float, zero: int, levels: int) -> float:
    """To the nearest point of a grid, by looking at all of them."""
    return min(abs((code - zero) * scale - value) for code in range(levels + 1))


def test_rounded_weights_are_the_nearest_points(subtests: pytest.Subtests) -> None:
    for grid in GRIDS:
        with subtests.test(grid=grid):
            weight_OI = weight()
            found = round_to_nearest(weight_OI, grid)
            off_OI = (found.dense() - weight_OI).abs()
            size = grid.group_size or weight_OI.shape[1]
            for row in range(len(weight_OI)):
                for column in range(weight_OI.shape[1]):
                    scale = float(found.points.scale[row, column // size])
                    zero = int(found.points.zero[row, column // size])
                    least = distance(float(weight_OI[row, column]), scale, zero, grid.levels)
                    assert float(off_OI[row, column]) == pytest.approx(least, abs=1e-12)


def test_no_error_is_above_half_a_scale(subtests: pytest.Subtests) -> None:
    for grid in GRIDS:
        with subtests.test(grid=grid):
            weight_OI = weight(1)
            found = round_to_nearest(weight_OI, grid)
            scale_OI, _ = grid.spread(found.points, weight_OI.shape[1])
            assert bool(((found.dense() - weight_OI).abs() <= scale_OI / 2 + 1e-12).all())


def test_weights_on_the_grid_stay(subtests: pytest.Subtests) -> None:
    for grid in GRIDS:
        with subtests.test(grid=grid):
            once = round_to_nearest(weight(2), grid)
            again = Quantised(grid, grid.encode(once.dense(), once.points), once.points)
            assert torch.equal(again.codes, once.codes)


def test_zeros_stay_zeros_also_in_groups_of_nothing_else(subtests: pytest.Subtests) -> None:
    for grid in GRIDS:
        with subtests.test(grid=grid):
            weight_OI = weight(3)
            weight_OI[:, ::3] = 0
            weight_OI[2] = 0
            dense_OI = round_to_nearest(weight_OI, grid).dense()
            assert bool((dense_OI[weight_OI == 0] == 0).all())


def test_groups_take_what_is_left_at_the_end() -> None:
    grid = Grid(bits=4, group_size=10)
    assert [(group, span.start, span.stop) for group, span in grid.spans(23)] == [(0, 0, 10), (1, 10, 20), (2, 20, 23)]
    whole = weight(4)
    tail = round_to_nearest(whole[:, 20:], Grid(bits=4, group_size=None))
    assert torch.equal(round_to_nearest(whole, grid).dense()[:, 20:], tail.dense())
    assert Grid(bits=4, group_size=128).groups(23) == 1


def test_a_stack_is_rounded_as_each_of_its_matrices() -> None:
    grid = Grid(bits=3, group_size=6, symmetric=False)
    stack = torch.stack([weight(seed) for seed in range(3)])
    found = round_to_nearest(stack, grid)
    for matrix, dense in zip(stack, found.dense(), strict=True):
        assert torch.equal(round_to_nearest(matrix, grid).dense(), dense)


def test_positive_weights_take_all_levels_of_a_grid_with_a_zero_point() -> None:
    weight_OI = torch.linspace(0, 3, 4).view(1, 4)
    found = round_to_nearest(weight_OI, Grid(bits=2, symmetric=False))
    assert torch.equal(found.dense(), weight_OI) and found.codes.tolist() == [[0, 1, 2, 3]]


def test_scales_are_of_the_dtype_of_the_weights() -> None:
    found = round_to_nearest(weight().bfloat16(), Grid(bits=4, group_size=8))
    assert found.points.scale.dtype == found.dense().dtype == torch.bfloat16


def test_points_of_one_group() -> None:
    points = GridPoints(torch.arange(6.0).view(2, 3), torch.arange(6, dtype=torch.uint8).view(2, 3))
    assert points.group(1).scale.tolist() == [[1.0], [4.0]] and points.group(1).zero.tolist() == [[1], [4]]


@pytest.mark.parametrize(
    "fields",
    [
        {"bits": 1},
        {"bits": 9},
        {"group_size": 0},
        {"group_size": -1},
        {"bits": 4.0},
        {"bits": "4"},
        {"group_size": 1.5},
    ],
)
def test_grids_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(fields))):
        Grid(**fields)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_no_grid_holds(bad: float) -> None:
    weight_OI = weight()
    weight_OI[1, 2] = bad
    with pytest.raises(ModelError, match="NaN or infinite"):
        round_to_nearest(weight_OI, Grid())
