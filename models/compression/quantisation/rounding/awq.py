"""AWQ: columns that large inputs meet are scaled up before rounding, what writes these inputs is scaled down

Lin et al., arXiv 2306.00978. A scale of s_i = m_i^alpha for input i of mean magnitude m_i, alpha by search; with alpha
0 it is rounding to the nearest, so that on the calibration data the result is never worse than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....errors import ModelError
from ..grid import Grid, GridPoints, Quantised, round_to_nearest, scale_dtype

# Shapes: O outputs, I inputs, G groups, S columns of a group.

FLOOR = 1e-4
"""Least magnitude of an input, so that one that is always 0 does not get an infinite scale."""


@dataclass(frozen=True, kw_only=True)
class AWQConfig:
    """Options of AWQ. Its grids have zero points, too: `Grid(symmetric=False)`.

    Attributes:
        steps: values of alpha from 0 on, below 1.
        clip: search also how far each group's grid should reach, as the paper's code does.

    Raises:
        ModelError: `steps` below 1.
    """

    steps: int = 20
    clip: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ModelError(f"steps={self.steps} must be 1 or more")


@dataclass(frozen=True)
class Reader:
    """A matrix (O, I) that reads the scaled inputs, and the second moments (I, I) of those that it sees."""

    weight: Tensor
    moments: Tensor


def search_scale(readers: Sequence[Reader], magnitude_I: Tensor, grid: Grid, steps: int = 20) -> tuple[Tensor, float]:
    """The scale of the inputs that makes the sum of the readers' output errors least.

    Scales lie around 1: the geometric mean of largest and smallest is 1.

    Args:
        readers: the matrices that read the inputs.
        magnitude_I: mean magnitude of each input.
        grid: what they are rounded to.
        steps: values of alpha that are tried.

    Returns:
        The scale (I,), and its alpha.
    """
    best_error = float("inf")
    best_alpha = 0.0
    best_I = torch.ones_like(magnitude_I)
    # alpha = 0, no scale at all, comes first, and another one has to be better: an even result leaves the model alone.
    for step in range(steps):
        alpha = step / steps
        scale_I = scale_for(magnitude_I, alpha)
        error = 0.0
        for reader in readers:
            error += scaled_error(reader, scale_I, grid)
        if error < best_error:
            best_error = error
            best_alpha = alpha
            best_I = scale_I
    return best_I, best_alpha


def scale_for(magnitude_I: Tensor, alpha: float) -> Tensor:
    """m^alpha around 1."""
    scale_I = magnitude_I.clamp_min(FLOOR) ** alpha
    # A common factor changes no rounding; around 1, what the scale is folded into keeps its size.
    return scale_I / (scale_I.max() * scale_I.min()).sqrt()


def scaled_error(reader: Reader, scale_I: Tensor, grid: Grid) -> float:
    """Output error of a matrix that is rounded at this scale of its inputs."""
    weight_OI = reader.weight.to(scale_I.dtype)
    # Rounded at weight times scale and read divided by it: an input with a large scale gets a smaller error, at the
    # cost of the others in its group, whose grid it widens.
    read_OI = round_to_nearest(weight_OI * scale_I, grid).dense() / scale_I
    return output_error(weight_OI, read_OI, reader.moments)


def output_error(weight_OI: Tensor, read_OI: Tensor, moments_II: Tensor) -> float:
    """tr((W - Q) H (W - Q)^T): the squared error of the outputs, summed over the inputs that H is made of."""
    off_OI = weight_OI.to(moments_II.dtype) - read_OI.to(moments_II.dtype)
    return float(((off_OI @ moments_II) * off_OI).sum())


def clipped(weight_OI: Tensor, moments_II: Tensor, grid: Grid, most: float = 0.5, steps: int = 20) -> Quantised:
    """The matrix on grids that may end before its largest weights, each group's as its own output error wants it.

    The error of a group is measured as if the others had none.

    Args:
        weight_OI: the matrix.
        moments_II: second moments of its inputs.
        grid: what it is rounded to.
        most: fraction by which a grid shrinks at most.
        steps: widths that are tried.
    """
    best = round_to_nearest(weight_OI, grid)
    best_OG = _group_errors(weight_OI, best, moments_II)
    full = best.points
    for step in range(1, steps):
        shrink = 1 - most * step / steps
        # A zero point is a number of steps: of a grid of shorter steps around the same centre it stays what it is.
        points = GridPoints((full.scale * shrink).to(scale_dtype(weight_OI)), full.zero)
        found = Quantised(grid, grid.encode(weight_OI, points), points)
        error_OG = _group_errors(weight_OI, found, moments_II)
        better_OG = error_OG < best_OG
        best_OG = torch.where(better_OG, error_OG, best_OG)
        best = replace(best, points=GridPoints(torch.where(better_OG, points.scale, best.points.scale), full.zero))
    return replace(best, codes=grid.encode(weight_OI, best.points))


def _group_errors(weight_OI: Tensor, quantised: Quantised, moments_II: Tensor) -> Tensor:
    off_OI = weight_OI.to(moments_II.dtype) - quantised.dense().to(moments_II.dtype)
    # Without the products between groups, the best end of each grid can be found by itself.
    errors = []
    for _, span in quantised.grid.spans(weight_OI.shape[-1]):
        part_OS = off_OI[:, span]
        errors.append(((part_OS @ moments_II[span, span]) * part_OS).sum(-1))
    return torch.stack(errors, dim=-1)
