"""The scales of one block for AWQ: found on its inputs, folded into its norms, routers and up projections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ....calibration.by_block import BlockPass
from ..targets import Target
from .awq import Reader, search_scale
from .folding import Fold, hidden_folds, norm_fold
from .moments import Moments
from .round_block import Rounding

# Shapes: N experts, I channels.

AllMoments = list[list[Moments]]
"""Moments by target, in their order, one for each of its matrices; scaling replaces those that it changes."""


def scale_block(step: BlockPass, targets: Sequence[Target], moments: AllMoments, rounding: Rounding) -> None:
    """Scale what the targets of one block read, where something writes it that can be scaled down.

    First the hidden neurons of each expert, then what the norms write. A scale that would change what the block
    computes (GPT-OSS adds 1 to the up half; a norm whose output goes elsewhere, too) is not used, and reported.
    """

    def run() -> Tensor:
        return block_output(step)

    folds = list(hidden_folds(step.block, targets))
    for fold in folds:
        if _usable(fold, run, rounding):
            _scale_hidden(fold, targets, moments, rounding)
    for target in targets:
        if target.hidden and not any(fold.reads(target) for fold in folds):
            rounding.report.not_scaled[target.path] = "no gate, or gate and up lie in turn"
    for norm in step.block.norms:
        fold = norm_fold(step.block, norm, run)
        if any(fold.reads(target) for target in targets) and _usable(fold, run, rounding):
            _scale_shared(fold, targets, moments, rounding)


def _usable(fold: Fold, run: Callable[[], Tensor], rounding: Rounding) -> bool:
    reason = ""
    if fold.channels == 0:
        reason = "it has no scale of its own"
    elif fold.changes(run):
        reason = "the output of the block would not stay the same"
    if reason:
        rounding.report.not_scaled[fold.name] = reason
        return False
    rounding.report.scaled.append(fold.name)
    return True


def _scale_hidden(fold: Fold, targets: Sequence[Target], moments: AllMoments, rounding: Rounding) -> None:
    """Each expert by its own hidden neurons."""
    (place,) = [place for place, target in enumerate(targets) if fold.reads(target)]
    scales = []
    for matrix, moment in zip(targets[place].matrices, moments[place], strict=True):
        scale_I = torch.ones_like(moment.magnitude)
        if moment.count:
            reader = Reader(matrix, moment.second)
            scale_I, _ = search_scale([reader], moment.mean_magnitude(), rounding.grid, rounding.awq_config.steps)
        scales.append(scale_I)
    stacked = targets[place].weight.dim() == 3
    fold.apply(torch.stack(scales) if stacked else scales[0], rounding.changes.replace)
    moments[place] = _divided(moments[place], scales)


def _scale_shared(fold: Fold, targets: Sequence[Target], moments: AllMoments, rounding: Rounding) -> None:
    """All readers by the inputs that they share."""
    reading = [place for place, target in enumerate(targets) if fold.reads(target)]
    readers = []
    magnitude_I = torch.zeros_like(moments[reading[0]][0].magnitude)
    count = 0
    for place in reading:
        for matrix, moment in zip(targets[place].matrices, moments[place], strict=True):
            if moment.count:
                readers.append(Reader(matrix, moment.second))
                magnitude_I += moment.magnitude
                count += moment.count
    if not readers:
        return
    # One norm serves all readers, so there is one scale, by the mean over all tokens that any of them read.
    scale_I, _ = search_scale(readers, magnitude_I / count, rounding.grid, rounding.awq_config.steps)
    fold.apply(scale_I, rounding.changes.replace)
    for place in reading:
        moments[place] = _divided(moments[place], [scale_I] * len(moments[place]))


def _divided(moments: Sequence[Moments], scales: Sequence[Tensor]) -> list[Moments]:
    return [moment.divided(scale) for moment, scale in zip(moments, scales, strict=True)]


def block_output(step: BlockPass) -> Tensor:
    """What the block gives for the last batch."""
    last: list[Tensor] = []

    def keep(module: Any, args: Any, output: Any) -> None:
        last[:] = [output if isinstance(output, Tensor) else output[0]]

    hook = step.block.site.get().register_forward_hook(keep)
    try:
        step.run()
    finally:
        hook.remove()
    return last[0]
