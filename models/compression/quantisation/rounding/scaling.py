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
        read = any(fold.reads(target) for target in targets)  # what reads them may not be among the targets
        if read and _usable(fold, run, rounding):
            _scale(fold, targets, moments, rounding)
    for target in targets:
        if target.hidden and not any(fold.reads(target) for fold in folds):
            rounding.report.not_scaled[target.path] = "no gate, or gate and up lie in turn"
    for norm in step.block.norms:
        fold = norm_fold(step.block, norm, run)
        if any(fold.reads(target) for target in targets) and _usable(fold, run, rounding):
            _scale(fold, targets, moments, rounding)


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


def _scale(fold: Fold, targets: Sequence[Target], moments: AllMoments, rounding: Rounding) -> None:
    """All readers by the inputs that they share; each expert of a stack by its own hidden neurons."""
    reading = [place for place, target in enumerate(targets) if fold.reads(target)]
    read: list[tuple[Tensor, Moments]] = []
    for place in reading:
        read += zip(targets[place].matrices, moments[place], strict=True)
    if targets[reading[0]].hidden:
        scales = [_best_scale([own], rounding) for own in read]
        scale = torch.stack(scales)
    else:
        scale = _best_scale(read, rounding)
        scales = [scale] * len(read)
    fold.apply(scale, rounding.changes.replace)
    left = iter(scales)
    for place in reading:
        moments[place] = [moment.divided(next(left)) for moment in moments[place]]


def _best_scale(read: Sequence[tuple[Tensor, Moments]], rounding: Rounding) -> Tensor:
    """One scale (I,) for matrices, by the mean over all tokens that any of them read; 1 where none read any."""
    readers = []
    magnitude_I = torch.zeros_like(read[0][1].magnitude)
    count = 0
    for matrix, moment in read:
        if moment.count:
            readers.append(Reader(matrix, moment.second))
            magnitude_I += moment.magnitude
            count += moment.count
    if not readers:
        return torch.ones_like(magnitude_I)
    scale_I, _ = search_scale(readers, magnitude_I / count, rounding.grid, rounding.awq_config.steps)
    return scale_I


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
