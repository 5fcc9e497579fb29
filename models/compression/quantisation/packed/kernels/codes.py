"""Packed matrices as the kernels take them, and which of them they can take."""

from __future__ import annotations

import functools
from typing import NamedTuple

from torch import Tensor

from ...grid import Grid

# Shapes: N experts (there may be no such dimension), O outputs, I inputs, G groups, W words of a row.

CHUNK = 64
"""Columns that share a scale of the inputs."""
HALF = 32
"""Groups of weights have to be multiples of so many columns."""


class Codes(NamedTuple):
    """Parts of a `PackedTensor`: `words` (..., O, W), `scale` (..., O, G), `zero` likewise or None; `columns` is I."""

    words: Tensor
    scale: Tensor
    zero: Tensor | None
    grid: Grid
    columns: int

    @property
    def outputs(self) -> int:
        """O."""
        return self.words.shape[-2]

    @property
    def layout(self) -> tuple[int, int, int]:
        """Bytes of a row, groups of a row, halves of chunks of a group."""
        groups = self.scale.shape[-1]
        return 4 * self.words.shape[-1], groups, -(-self.grid.size(self.columns) // HALF)

    @property
    def pointers(self) -> tuple[int, int, int | None]:
        """Where the parts begin. They have to be contiguous (`whole`)."""
        zero = None if self.zero is None else self.zero.data_ptr()
        return self.words.data_ptr(), self.scale.data_ptr(), zero

    @property
    def whole(self) -> bool:
        """Whether all parts lie in the memory of the CPU without gaps."""
        if not self.words.is_cpu or not self.words.is_contiguous() or not self.scale.is_contiguous():
            return False
        return self.zero is None or self.zero.is_contiguous()

    def expert(self, number: int) -> Codes:
        """Those of one matrix of a stack."""
        zero = None if self.zero is None else self.zero[number]
        return Codes(self.words[number], self.scale[number], zero, self.grid, self.columns)


def slowdown(grid: Grid) -> int:
    """How many times the time of a dense bfloat16 product one takes for one row where no kernel reads the codes.

    Roughly: measured for 2048 x 2048 weights and one thread on processors with AVX-512.
    """
    return 30 if 8 % grid.bits == 0 else 250


@functools.cache
def misfit(grid: Grid, columns: int) -> str | None:
    """Why no kernel takes matrices on this grid with so many columns; None: one does."""
    size = grid.size(columns)
    if size < columns and size % HALF:
        return f"groups of {size} columns are no multiples of {HALF}"
    return None
