"""Grids of integers that weights are rounded to: groups of columns, each with a scale and, if wanted, a zero point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ModelError

# Shapes: O outputs (rows), I inputs (columns), G groups of S columns each, of which the last may be shorter.

LEAST_BITS = 2
MOST_BITS = 8


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Integers of `bits` bits, with one scale for each row and group of columns.

    A weight w is stored as the code q = round(w / scale) + zero, an integer from 0 to 2^bits - 1, and read as
    (q - zero) * scale. Zero is always on the grid.

    Attributes:
        bits: of a code, 2 to 8.
        group_size: columns of a group; None: the whole row.
        symmetric: zero is 2^(bits - 1) everywhere and is not stored; else each group has its own, so that the grid
            reaches from its smallest weight (or 0) to its largest (or 0).

    Raises:
        ModelError: another number of bits, and groups without columns.

    >>> Grid(bits=4, group_size=64).groups(130)
    3
    """

    bits: int = 4
    group_size: int | None = 128
    symmetric: bool = True

    def __post_init__(self) -> None:
        if not _is_whole(self.bits) or not LEAST_BITS <= self.bits <= MOST_BITS:
            raise ModelError(f"bits={self.bits!r} must be a whole number in {LEAST_BITS}..{MOST_BITS}")
        if self.group_size is not None and (not _is_whole(self.group_size) or self.group_size < 1):
            raise ModelError(f"group_size={self.group_size!r} must be a whole number from 1 on, or None for whole rows")

    @property
    def levels(self) -> int:
        """Largest code."""
        return 2**self.bits - 1

    @property
    def middle(self) -> int:
        """The code of 0 in a symmetric grid."""
        return 2 ** (self.bits - 1)

    def size(self, columns: int) -> int:
        """Columns of a full group of a matrix with so many."""
        if self.group_size is None:
            return columns
        return min(self.group_size, columns)

    def groups(self, columns: int) -> int:
        """Number of groups of a matrix with so many columns; the last one takes what is left."""
        return -(-columns // self.size(columns))

    def spans(self, columns: int) -> Iterator[tuple[int, slice]]:
        """Number and columns of each group."""
        size = self.size(columns)
        for group in range(self.groups(columns)):
            yield group, slice(group * size, min((group + 1) * size, columns))

    def fit(self, weight_OI: Tensor, dtype: torch.dtype) -> GridPoints:
        """Scales and zero points that reach as far as the weights do (min-max), rounded to `dtype` as they are stored.

        Half a scale is then the largest error of rounding, apart from the rounding of the scale itself.
        """
        low_OG, high_OG = self._extremes(weight_OI)
        if self.symmetric:
            reach_OG = torch.maximum(-low_OG, high_OG)
            # The codes below 0 reach to -middle, those above to middle - 1: half a step is lost on either side.
            scale_OG = _usable(2 * reach_OG / self.levels, dtype)
            return GridPoints(scale_OG, torch.full_like(scale_OG, self.middle, dtype=torch.uint8))
        scale_OG = _usable((high_OG - low_OG) / self.levels, dtype)
        zero_OG = (-low_OG / scale_OG.to(low_OG.dtype)).round().clamp(0, self.levels)
        return GridPoints(scale_OG, zero_OG.to(torch.uint8))

    def encode(self, weight_OI: Tensor, points: GridPoints) -> Tensor:
        """Codes uint8 (O, I) of the nearest points of the grid."""
        scale_OI, zero_OI = self.spread(points, weight_OI.shape[-1])
        wide = torch.promote_types(weight_OI.dtype, torch.float32)
        steps_OI = (weight_OI.to(wide) / scale_OI.to(wide)).round()
        return (steps_OI + zero_OI).clamp(0, self.levels).to(torch.uint8)

    def decode(self, codes_OI: Tensor, points: GridPoints) -> Tensor:
        """The weights (O, I) that codes stand for, in the dtype of the scales."""
        scale_OI, zero_OI = self.spread(points, codes_OI.shape[-1])
        return (codes_OI.to(scale_OI.dtype) - zero_OI.to(scale_OI.dtype)) * scale_OI

    def spread(self, points: GridPoints, columns: int) -> tuple[Tensor, Tensor]:
        """Scale and zero point of each column, (..., O, I)."""
        size = self.size(columns)
        scale = points.scale.repeat_interleave(size, dim=-1)[..., :columns]
        zero = points.zero.repeat_interleave(size, dim=-1)[..., :columns]
        return scale, zero

    def _extremes(self, weight_OI: Tensor) -> tuple[Tensor, Tensor]:
        """Smallest and largest weight of each group, 0 included, (..., O, G) in float32 or better."""
        weight_OI = weight_OI.to(torch.promote_types(weight_OI.dtype, torch.float32))
        columns = weight_OI.shape[-1]
        groups = self.groups(columns)
        # Zeros in the tail are harmless: 0 counts in every group anyway.
        padded = F.pad(weight_OI, (0, groups * self.size(columns) - columns))
        grouped = padded.unflatten(-1, (groups, self.size(columns)))
        return grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class GridPoints:
    """Where the grid of each row and group lies: `scale` (..., O, G) floating, `zero` (..., O, G) uint8."""

    scale: Tensor
    zero: Tensor

    def group(self, number: int) -> GridPoints:
        """Those of one group, with a last dimension of 1."""
        return GridPoints(self.scale[..., number, None], self.zero[..., number, None])


@dataclass(frozen=True)
class Quantised:
    """A matrix on a grid: `codes` uint8 (..., O, I) and its `points`."""

    grid: Grid
    codes: Tensor
    points: GridPoints

    def dense(self) -> Tensor:
        """The weights (..., O, I), in the dtype of the scales."""
        return self.grid.decode(self.codes, self.points)


def round_to_nearest(weight_OI: Tensor, grid: Grid) -> Quantised:
    """Each weight of a matrix (..., O, I) on the nearest point of a min-max grid.

    Raises `ModelError` for weights that are NaN or infinite.
    """
    check_finite(weight_OI)
    points = grid.fit(weight_OI, scale_dtype(weight_OI))
    return Quantised(grid, grid.encode(weight_OI, points), points)


def check_finite(weight: Tensor) -> None:
    """Raise a `ModelError` for weights that no grid can hold."""
    if not bool(weight.isfinite().all()):
        raise ModelError(f"a weight of shape {tuple(weight.shape)} holds NaN or infinite entries: nothing to round")


def scale_dtype(weight: Tensor) -> torch.dtype:
    """Scales are stored as the weights were: a matrix read from its codes then has the dtype that it had."""
    return weight.dtype


def _usable(scale: Tensor, dtype: torch.dtype) -> Tensor:
    """The scale as it is stored; 1 for a group of zeros, or of weights too small for the dtype to hold their scale."""
    stored = scale.to(dtype)
    return torch.where(stored > 0, stored, torch.ones_like(stored))
