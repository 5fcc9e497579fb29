"""AWQ's search: the error as it is measured, never worse than rounding, better where some inputs are large."""

import pytest
import torch
from torch import Tensor

from sparsebench.models.compression.quantisation.grid import Grid, round_to_nearest
from sparsebench.models.compression.quantisation.rounding.awq import (
    AWQConfig,
    Reader,
    clipped,
    output_error,
    scale_for,
    scaled_error,
    search_scale,
)
from sparsebench.models.errors import ModelError

GRIDS = [Grid(bits=3, group_size=8), Grid(bits=4, group_size=None, symmetric=False)]


def inputs(seed: int, loud: float = 20.0) -> Tensor:
    """(100, 24), of which two inputs are louder than the others."""
    x = torch.randn(100, 24, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[:, [3, 17]] *= loud
    return x


def reader(seed: int, loud: float = 20.0) -> Reader:
    weight = torch.randn(6, 24, generator=torch.Generator().manual_seed(100 + seed), dtype=torch.float64)
    x = inputs(seed, loud)
    return Reader(weight, x.T @ x)


def rounding_error(one: Reader, grid: Grid) -> float:
    return output_error(one.weight, round_to_nearest(one.weight, grid).dense(), one.moments)


def test_the_error_is_that_of_the_outputs() -> None:
    one = reader(0)
    read = round_to_nearest(one.weight, GRIDS[0]).dense()
    outputs = inputs(0) @ one.weight.T - inputs(0) @ read.T
    assert output_error(one.weight, read, one.moments) == pytest.approx(float(outputs.square().sum()))


def test_the_error_of_a_scale_is_that_of_scaled_weights_and_inputs() -> None:
    one = reader(1)
    scale_I = scale_for(inputs(1).abs().mean(0), 0.6)
    read = round_to_nearest(one.weight * scale_I, GRIDS[0]).dense()
    off = inputs(1) @ one.weight.T - (inputs(1) / scale_I) @ read.T
    assert scaled_error(one, scale_I, GRIDS[0]) == pytest.approx(float(off.square().sum()))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("loud", [1.0, 20.0])
def test_a_scale_is_never_worse_than_none(grid: Grid, loud: float) -> None:
    for seed in range(4):
        readers = [reader(seed, loud), reader(seed + 10, loud)]
        scale_I, alpha = search_scale(readers, inputs(seed, loud).abs().mean(0), grid)
        scaled = sum(scaled_error(one, scale_I, grid) for one in readers)
        assert scaled <= sum(rounding_error(one, grid) for one in readers) * (1 + 1e-12)
        assert 0 <= alpha < 1


def test_loud_inputs_are_worth_a_scale() -> None:
    for seed in range(4):
        one = reader(seed)
        scale_I, alpha = search_scale([one], inputs(seed).abs().mean(0), GRIDS[0])
        assert alpha > 0 and scale_I[3] > scale_I[4]
        assert scaled_error(one, scale_I, GRIDS[0]) < 0.9 * rounding_error(one, GRIDS[0])


def test_scales_lie_around_1_and_are_finite_for_silent_inputs() -> None:
    scale_I = scale_for(torch.tensor([0.0, 1.0, 100.0]), 0.5)
    assert bool(scale_I.isfinite().all()) and float(scale_I.max() * scale_I.min()) == pytest.approx(1)
    assert torch.equal(scale_for(torch.tensor([0.5, 2.0]), 0.0), torch.ones(2))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_clipping_is_never_worse_where_each_group_is_alone(grid: Grid) -> None:
    """Inputs of different groups that have nothing in common."""
    for seed in range(4):
        one = reader(seed)
        moments = torch.zeros_like(one.moments)
        for _, span in grid.spans(24):
            moments[span, span] = one.moments[span, span]
        found = clipped(one.weight, moments, grid)
        assert output_error(one.weight, found.dense(), moments) <= rounding_error(Reader(one.weight, moments), grid)


def test_clipping_cuts_a_lone_large_weight_that_no_input_meets() -> None:
    weight = torch.full((1, 8), 0.1)
    weight[0, ::2] = -0.07
    weight[0, 0] = 5.0
    moments = torch.eye(8)
    moments[0, 0] = 0
    found = clipped(weight, moments, Grid(bits=3, group_size=8), most=0.99, steps=100)
    assert output_error(weight, found.dense(), moments) < 0.1 * rounding_error(Reader(weight, moments), found.grid)


def test_clipping_is_on_as_in_the_papers_code() -> None:
    assert AWQConfig().clip


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ModelError, match="steps=0"):
        AWQConfig(steps=0)
