"""GPTQ: rounding column by column, each error made good by the columns that are still to come

Frantar et al., arXiv 2210.17323. The error of a layer on its calibration inputs is tr((W - Q) H (W - Q)^T), H the sum
of x x^T over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ....errors import ModelError
from ...linear.moments import inverse_factor
from ..grid import Grid, Quantised, check_finite, round_to_nearest

# Shapes: O outputs (rows), I inputs (columns), B columns of a block.


@dataclass(frozen=True, kw_only=True)
class GPTQConfig:
    """Options of GPTQ.

    Attributes:
        damping: what is added to the diagonal of H, as a fraction of its mean.
        block: columns between two updates of the rest, a matter of speed alone.
        act_order: columns with large inputs first, so that most others are left to take over their errors; groups keep
            their columns and get their scales before (the paper's code calls that static groups), so that files need no
            order of columns.

    Raises:
        ModelError: values out of range.
    """

    damping: float = 0.01
    block: int = 128
    act_order: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.damping < 1:
            raise ModelError(f"damping={self.damping} must lie between 0 and 1")
        if self.block < 1:
            raise ModelError(f"block={self.block} must be 1 or more")


def gptq(weight_OI: Tensor, hessian_II: Tensor, grid: Grid, config: GPTQConfig | None = None) -> Quantised:
    """A matrix on a grid, rounded so that its outputs change least (Frantar et al., arXiv 2210.17323).

    Columns whose input is always 0 are rounded to the nearest point, and change no other: nothing connects them. With H
    a multiple of the identity this is rounding to the nearest. Works in float32, or float64 if H is.

    Args:
        weight_OI: the matrix.
        hessian_II: H, the second moments of its inputs, in any scale.
        grid: what it is rounded to.
        config: options; None is their defaults.

    Returns:
        Codes, scales and zero points.

    Raises:
        ModelError: weights or moments that are NaN or infinite, or moments of another size or none at all (all 0):
            round to nearest instead.
    """
    config = config or GPTQConfig()
    check_finite(weight_OI)
    hessian_II = _checked(hessian_II, weight_OI.shape[-1])
    dtype = torch.promote_types(torch.promote_types(weight_OI.dtype, hessian_II.dtype), torch.float32)
    order_I = _order(hessian_II, config)
    factor_II = inverse_factor(hessian_II[order_I][:, order_I], config.damping).to(dtype)
    # The grids are those of the weights as they were: a group's grid does not depend on the order in which its columns
    # go.
    nearest = round_to_nearest(weight_OI, grid)
    columns = weight_OI.to(dtype)[:, order_I].clone()
    scale_OI, zero_OI = grid.spread(nearest.points, weight_OI.shape[-1])
    codes = _rounded(columns, factor_II, scale_OI[:, order_I], zero_OI[:, order_I], grid, config)
    codes_OI = torch.empty_like(nearest.codes)
    codes_OI[:, order_I] = codes
    return Quantised(grid, codes_OI, nearest.points)


def _checked(hessian_II: Tensor, columns: int) -> Tensor:
    if tuple(hessian_II.shape) != (columns, columns):
        raise ModelError(f"second moments of shape {tuple(hessian_II.shape)} do not fit {columns} inputs")
    if not bool(hessian_II.isfinite().all()):
        raise ModelError("the second moments of the inputs are NaN or infinite: look at the calibration data")
    if not bool((hessian_II.diagonal() > 0).any()):
        raise ModelError("no input was ever other than 0: there is nothing to weigh errors by; round to nearest")
    return hessian_II


def _order(hessian_II: Tensor, config: GPTQConfig) -> Tensor:
    diagonal_I = hessian_II.diagonal()
    if config.act_order:
        return diagonal_I.argsort(descending=True, stable=True)
    return torch.arange(len(diagonal_I), device=diagonal_I.device)


def _rounded(
    columns_OI: Tensor, factor_II: Tensor, scale_OI: Tensor, zero_OI: Tensor, grid: Grid, config: GPTQConfig
) -> Tensor:
    """Codes of the columns in their order; `columns_OI` is used up.

    The error of column i, divided by U_ii, times row i of U is what later columns take over. Within a block it is done
    at once, for all columns behind the block by one matrix product.
    """
    codes_OI = torch.empty(columns_OI.shape, dtype=torch.uint8, device=columns_OI.device)
    scale_OI = scale_OI.to(columns_OI.dtype)
    count = columns_OI.shape[1]
    for start in range(0, count, config.block):
        end = min(start + config.block, count)
        errors_OB = torch.empty_like(columns_OI[:, start:end])
        for column in range(start, end):
            value_O = columns_OI[:, column]
            step_O = (value_O / scale_OI[:, column]).round() + zero_OI[:, column]
            code_O = step_O.clamp(0, grid.levels)
            codes_OI[:, column] = code_O.to(torch.uint8)
            read_O = (code_O - zero_OI[:, column]) * scale_OI[:, column]
            # Row i of U is, but for the factor U_ii, the first row of the inverse of H without columns 0..i-1: one
            # factor serves all columns, and no inverse is made again.
            error_O = (value_O - read_O) / factor_II[column, column]
            errors_OB[:, column - start] = error_O
            # The next column is rounded from its changed value, so the block changes at once.
            columns_OI[:, column + 1 : end] -= error_O.unsqueeze(1) * factor_II[column, column + 1 : end]
        # What lies behind the block is read once for all its columns, not once for each.
        columns_OI[:, end:] -= errors_OB @ factor_II[start:end, end:]
    return codes_OI
