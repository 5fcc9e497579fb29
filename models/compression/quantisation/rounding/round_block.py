"""Rounding one weight of a block, expert by expert, into packed storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..changes import Changes
from ..grid import Grid, GridPoints, Quantised, round_to_nearest

# Operators of packed weights register when they are imported: a cell that makes such weights passes through them.
from ..packed import packed_operators as packed_operators
from ..packed.packed_tensor import PackedTensor
from ..report import QuantisationReport, QuantisedWeight
from ..targets import Target
from .awq import AWQConfig, clipped, output_error
from .gptq import GPTQConfig, gptq
from .moments import Moments

# Shapes: N experts, O outputs, I inputs.

Round = Callable[[Tensor, Moments], Quantised]
"""A matrix (O, I) on a grid, given the second moments of what it reads."""


class Rounding:
    """Rounds targets, puts packed weights in their places and notes what was done in the report."""

    def __init__(
        self,
        grid: Grid,
        gptq_config: GPTQConfig,
        awq_config: AWQConfig,
        least_tokens: int,
        changes: Changes,
        report: QuantisationReport,
    ) -> None:
        self.grid = grid
        self.gptq_config = gptq_config
        self.awq_config = awq_config
        self.least_tokens = least_tokens
        self.changes = changes
        self.report = report

    def nearest(self, target: Target) -> None:
        """Round to the nearest, without a look at data."""
        self._put(target, round_to_nearest(target.weight, self.grid))
        for expert in target.experts:
            self._note(target, expert, "rtn", None, None)

    def gptq(self, target: Target, moments: Sequence[Moments]) -> None:
        """By GPTQ."""

        def round_one(weight_OI: Tensor, moment: Moments) -> Quantised:
            return gptq(weight_OI, moment.second, self.grid, self.gptq_config)

        self._on_data(target, moments, "gptq", round_one)

    def awq(self, target: Target, moments: Sequence[Moments]) -> None:
        """To the nearest on the grid that the largest weights give, or on clipped ones; after scaling."""

        def round_one(weight_OI: Tensor, moment: Moments) -> Quantised:
            if self.awq_config.clip:
                return clipped(weight_OI, moment.second, self.grid)
            return round_to_nearest(weight_OI, self.grid)

        self._on_data(target, moments, "awq", round_one)

    def _on_data(self, target: Target, moments: Sequence[Moments], how: str, round_one: Round) -> None:
        found = []
        for expert, weight_OI, moment in zip(target.experts, target.matrices, moments, strict=True):
            used = how
            if moment.count < self.least_tokens or not bool((moment.magnitude > 0).any()):
                used = "rtn"
                quantised = round_to_nearest(weight_OI, self.grid)
            else:
                quantised = round_one(weight_OI, moment)
            found.append(quantised)
            self._note(target, expert, used, moment.count, relative_error(weight_OI, quantised, moment))
        self._put(target, _stacked(found) if target.weight.dim() == 3 else found[0])

    def _put(self, target: Target, quantised: Quantised) -> None:
        packed = PackedTensor.of(quantised, transposed=target.transposed)
        self.changes.replace(target.parent, target.name, nn.Parameter(packed, requires_grad=False))

    def _note(self, target: Target, expert: int | None, how: str, tokens: int | None, error: float | None) -> None:
        note = QuantisedWeight(
            path=target.path,
            expert=expert,
            how=how,
            bits=self.grid.bits,
            inputs=target.weight.shape[-1],
            tokens=tokens,
            error=error,
        )
        self.report.weights.append(note)


def relative_error(weight_OI: Tensor, quantised: Quantised, moment: Moments) -> float | None:
    """Squared error of the outputs as a fraction of the squared outputs; None where these are 0 or there are none."""
    whole = output_error(weight_OI, torch.zeros_like(weight_OI), moment.second)
    if whole <= 0:
        return None
    return output_error(weight_OI, quantised.dense(), moment.second) / whole


def _stacked(matrices: Sequence[Quantised]) -> Quantised:
    return Quantised(
        matrices[0].grid,
        torch.stack([matrix.codes for matrix in matrices]),
        GridPoints(
            torch.stack([matrix.points.scale for matrix in matrices]),
            torch.stack([matrix.points.zero for matrix in matrices]),
        ),
    )
