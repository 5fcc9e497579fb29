"""Rounds of the mode partition as the released code of PAD-Net has them, for comparison with ours.

- Every round chooses among all candidates again, with the scores that they have under the masks of the round before:
  what turned static may come back. Only the last round's scores decide; the others decide what these are taken under.
- Everything whose score is at most the threshold turns static, ties included, so that more may go than was asked for.
- The number that goes is rounded down, and with none to go a round leaves the masks as they are.

The released "snip" is "switch" here; its "grasp" divides the outputs by 200, which is for the caller's loss to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import check_choice
from ...sparsity.budgets import Schedule
from ...sparsity.selection import Group
from .candidates import ModeCandidates, OpenMask

CRITERIA = ("switch", "inverted", "grasp", "random")
"""Those that the released code has; its "mag" does not fit the masks."""

# Shapes: C candidates of a part, N those of a group.


def check_released(criterion: str, granularity: str, of: str) -> None:
    """Raise `ModelError` for what the released code does not have."""
    check_choice("criterion", criterion, CRITERIA)
    check_choice("granularity", granularity, ("weight",))
    check_choice("of", of, ("kernels",))


def released_rounds(
    candidates: ModeCandidates,
    groups: Sequence[Group],
    masks: Sequence[OpenMask],
    effects: Callable[[], list[Tensor]],
    ratio: float,
    rounds: int,
    schedule: Schedule,
) -> tuple[list[Tensor], int]:
    """Which candidates (C,) of each part are dynamic after the last round, and how many tied at its thresholds.

    `masks` are set to the choice of each round, for the `effects` of the next one.
    """
    keep = [torch.ones(size, dtype=torch.bool) for size in candidates.sizes]
    ties = 0
    for step in range(1, rounds + 1):
        scores = [score.cpu() for score in candidates.scores(effects())]
        fraction = _left_after(step / rounds, ratio, schedule)
        ties = 0
        for group in groups:
            score_N = torch.cat([scores[part] for part in group.parts])
            count = int((1.0 - fraction) * len(score_N))
            if count == 0:
                continue
            threshold = score_N.kthvalue(count).values
            at_it = int((score_N == threshold).sum())
            ties += at_it if at_it > 1 else 0
            for part in group.parts:
                keep[part] = scores[part] > threshold
        _set(masks, candidates.masks(keep))
    return keep, ties


def _left_after(part: float, ratio: float, schedule: Schedule) -> float:
    """The fraction that shall be dynamic when this part of the rounds is over."""
    if schedule == "linear":
        return 1.0 - (1.0 - ratio) * part
    return ratio**part


@torch.no_grad()
def _set(masks: Sequence[Any], values: Sequence[Tensor]) -> None:
    for mask, value in zip(masks, values, strict=True):
        mask.stored.copy_(value)
