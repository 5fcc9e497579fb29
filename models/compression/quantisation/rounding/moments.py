"""Second moments and magnitudes of what the matrices of a block read, while batches pass through the block."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ....calibration.by_block import BlockPass
from ...linear.linear_inputs import watch_inputs
from ...linear.linear_map import Source
from ..targets import Target

# Shapes: R rows (tokens that a matrix reads), I inputs.


class Moments:
    """Sums over the `count` rows that a matrix has read: `second` x x^T (I, I) and `magnitude` |x| (I,).

    In float32, or float64 for weights in it.
    """

    def __init__(self, inputs: int, like: Tensor) -> None:
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.second = torch.zeros(inputs, inputs, dtype=dtype, device=like.device)
        self.magnitude = torch.zeros(inputs, dtype=dtype, device=like.device)
        self.count = 0

    def add(self, rows_RI: Tensor) -> None:
        """Take rows into the sums. Those of an expert that zeros fill up to a larger one are 0 behind their end."""
        rows_RI = F.pad(rows_RI.to(self.second.dtype), (0, len(self.magnitude) - rows_RI.shape[1]))
        self.second.addmm_(rows_RI.T, rows_RI)
        self.magnitude += rows_RI.abs().sum(0)
        self.count += len(rows_RI)

    def divided(self, scale_I: Tensor) -> Moments:
        """Those of the rows divided by a scale of each input."""
        found = Moments(len(scale_I), self.second)
        found.second = self.second / torch.outer(scale_I, scale_I).to(self.second.dtype)
        found.magnitude = self.magnitude / scale_I.to(self.magnitude.dtype)
        found.count = self.count
        return found


def moments_of(step: BlockPass, targets: Sequence[Target]) -> list[list[Moments]]:
    """Second moments of the inputs of each matrix, from all batches at a block.

    Padding does not count, and of experts only the tokens that chose them do. Matrices that nothing shows the inputs of
    have a count of 0.

    Args:
        step: the block's pass.
        targets: what is rounded in the block.

    Returns:
        For each target a list, one entry for each of its matrices.

    Raises:
        ModelError: inputs that are NaN or infinite.
    """
    seen: dict[Source, Moments] = {}
    found: list[list[Moments]] = []
    for target in targets:
        weight = target.weight
        own = []
        for source in target.sources:
            if source is None:
                own.append(Moments(weight.shape[-1], weight))
                continue
            # Matrices that read the same inputs (q, k and v; gate and up) share one sum: memory and time of one.
            if source not in seen:
                seen[source] = Moments(weight.shape[-1], weight)
            own.append(seen[source])
        found.append(own)

    def take(source: Source, x_RI: Tensor, gate_R: Tensor | None) -> None:
        seen[source].add(x_RI)

    with watch_inputs(seen, take, lambda: step.mask):
        step.run()
    return found
