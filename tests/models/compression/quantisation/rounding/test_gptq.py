"""GPTQ against a slow reference in float64, against rounding, and where both are the same."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparsebench.models.compression.quantisation.grid import Grid, Quantised, round_to_nearest
from sparsebench.models.compression.quantisation.rounding.awq import output_error
from sparsebench.models.compression.quantisation.rounding.gptq import GPTQConfig, gptq
from sparsebench.models.errors import ModelError


def weight(seed: int, rows: int = 8, columns: int = 24) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def correlated(seed: int, columns: int = 24, tokens: int = 200) -> Tensor:
    """Second moments of inputs that have much in common, of sizes from 0.2 to 5."""
    generator = torch.Generator().manual_seed(1000 + seed)
    mixing = torch.randn(columns, columns, generator=generator, dtype=torch.float64)
    common = torch.randn(tokens, 1, generator=generator, dtype=torch.float64)
    x = torch.randn(tokens, columns, generator=generator, dtype=torch.float64) @ mixing * 0.3 + common
    x = x * torch.logspace(-0.7, 0.7, columns, dtype=torch.float64)
    return x.T @ x


def slow(weight_OI: Tensor, hessian_II: Tensor, grid: Grid, config: GPTQConfig) -> Tensor:
    """The paper's equations (2) and (3): the inverse of what is left of H, made again after each column."""
    weight_OI = weight_OI.clone()
    points = round_to_nearest(weight_OI, grid).points
    damped_II = hessian_II + config.damping * hessian_II.diagonal().mean() * torch.eye(len(hessian_II)).double()
    left = list(range(weight_OI.shape[1]))
    if config.act_order:
        left.sort(key=lambda column: -float(hessian_II[column, column]))
    while left:
        column = left[0]
        inverse = torch.linalg.inv(damped_II[left][:, left])
        read_O = Quantised(grid, grid.encode(weight_OI, points), points).dense()[:, column]
        error_O = (weight_OI[:, column] - read_O) / inverse[0, 0]
        weight_OI[:, left] -= error_O.unsqueeze(1) * inverse[0]
        weight_OI[:, column] = read_O
        left.pop(0)
    return weight_OI


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("grid", [Grid(bits=3, group_size=7), Grid(bits=4, group_size=None, symmetric=False)], ids=str)
@pytest.mark.parametrize("block", [5, 128])
def test_it_is_what_the_slow_reference_gives(act_order: bool, grid: Grid, block: int) -> None:
    config = GPTQConfig(act_order=act_order, block=block)
    found = gptq(weight(0), correlated(0), grid, config)
    torch.testing.assert_close(found.dense(), slow(weight(0), correlated(0), grid, config))


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize(("act_order", "most"), [(False, 0.85), (True, 0.5)])
def test_on_correlated_inputs_the_outputs_are_nearer_than_by_rounding(bits: int, act_order: bool, most: float) -> None:
    """No theorem: the mean over several draws. Columns lie from quiet to loud, which is the worst order."""
    grid = Grid(bits=bits, group_size=8)
    ratios = []
    for seed in range(6):
        hessian_II = correlated(seed)
        found = gptq(weight(seed), hessian_II, grid, GPTQConfig(act_order=act_order)).dense()
        rounded = round_to_nearest(weight(seed), grid).dense()
        error = output_error(weight(seed), found, hessian_II)
        ratios.append(error / output_error(weight(seed), rounded, hessian_II))
    assert sum(ratios) / len(ratios) < most


@pytest.mark.parametrize("grid", [Grid(bits=3, group_size=5), Grid(bits=4, symmetric=False)], ids=str)
def test_with_independent_equal_inputs_it_is_rounding(grid: Grid) -> None:
    found = gptq(weight(1), 7 * torch.eye(24), grid)
    assert torch.equal(found.codes, round_to_nearest(weight(1), grid).codes)


def test_inputs_that_are_always_0_are_rounded_and_move_nothing() -> None:
    dead = torch.tensor([0, 5, 11])
    hessian_II = correlated(2)
    hessian_II[dead] = 0
    hessian_II[:, dead] = 0
    grid = Grid(bits=3, group_size=8)
    found = gptq(weight(2), hessian_II, grid)
    assert torch.equal(found.codes[:, dead], round_to_nearest(weight(2), grid).codes[:, dead])
    moved = weight(2)
    moved[:, dead] *= 0.5  # within the reach of their groups, so that no scale moves
    same = gptq(moved, hessian_II, grid)
    alive = [column for column in range(24) if column not in dead.tolist()]
    scales_moved = (found.points.scale != same.points.scale).any(1)
    assert torch.equal(found.codes[~scales_moved][:, alive], same.codes[~scales_moved][:, alive])
    assert not bool(scales_moved.all())


def test_zeros_that_fill_an_expert_up_stay_zeros() -> None:
    padded = torch.cat((weight(3), torch.zeros(8, 6).double()), dim=1)
    hessian_II = torch.zeros(30, 30).double()
    hessian_II[:24, :24] = correlated(3)
    assert bool((gptq(padded, hessian_II, Grid(bits=3, group_size=16)).dense()[:, 24:] == 0).all())


def test_the_size_of_the_moments_does_not_matter() -> None:
    grid = Grid(bits=3, group_size=8)
    assert torch.equal(gptq(weight(4), correlated(4), grid).codes, gptq(weight(4), 64 * correlated(4), grid).codes)


def test_bfloat16_weights_are_worked_on_in_float32() -> None:
    found = gptq(weight(5).bfloat16(), correlated(5).float(), Grid(bits=4, group_size=8))
    assert found.dense().dtype == torch.bfloat16
    rounded = round_to_nearest(weight(5).bfloat16(), Grid(bits=4, group_size=8)).dense()
    assert output_error(weight(5), found.dense(), correlated(5)) < output_error(weight(5), rounded, correlated(5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h[:5, :5], r"of shape \(5, 5\) do not fit 24 inputs"),
        (lambda h: h * float("nan"), "NaN or infinite"),
        (lambda h: h * 0, "no input was ever other than 0"),
    ],
)
def test_moments_that_cannot_be(change: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        gptq(weight(0), change(correlated(0)), Grid())


def test_weights_and_settings_that_cannot_be() -> None:
    bad = weight(0)
    bad[0, 0] = float("inf")
    with pytest.raises(ModelError, match="NaN or infinite"):
        gptq(bad, correlated(0), Grid())
    for fields in ({"damping": 0.0}, {"damping": 1.0}, {"block": 0}):
        with pytest.raises(ModelError, match=next(iter(fields))):
            GPTQConfig(**fields)
