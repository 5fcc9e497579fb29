"""Scores that cannot decide anything, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...errors import ModelError
from ...sparsity.selection import Group
from .candidates import ModeCandidates

# Shapes: C candidates of a layer, N those of a group.

ADVICE = {
    "switch": (
        "static and dynamic weights are copies of one, so that a change of mode changes nothing: take "
        "criterion='remove', or warmup=WarmUp() to train a few steps before, or static='random'"
    ),
    "spread": "all kernels are copies of one: take criterion='remove', or warmup=WarmUp() to train a few steps before",
    "variance": "the kernels, or their shares, do not differ: take criterion='remove', or warmup=WarmUp()",
}
"""Why all scores of a criterion are equal, in most cases, and the way out."""
ADVICE["inverted"] = ADVICE["switch"]
OTHER = "the loss does not depend on these weights, or they are all equal: look at loss_fn and the calibration batches"


ROUNDING = 32
"""Effects of so many units of rounding, beside what they are differences of, are taken for 0."""


def refuse_ties(
    candidates: ModeCandidates,
    groups: Sequence[Group],
    effects: Sequence[Tensor],
    references: Sequence[Tensor],
    criterion: str,
    names: Sequence[str],
) -> None:
    """Raise a `ModelError` where the scores of a group, all of which is dynamic, are equal or 0 but for rounding.

    `effects` have the shapes of the weights, and `references` the size of what they are differences of (`scores`);
    `names` are those of the layers.
    """
    scores = candidates.scores(effects)
    for group in groups:
        if not 0 < group.keep < group.left:  # nothing to choose
            continue
        score_N = torch.cat([scores[part].cpu() for part in group.parts])
        tied = len(score_N) > 1 and bool(score_N.min() == score_N.max())
        if tied or _are_rounding(effects, references, group.parts):
            where = names[group.parts[0]] if len(group.parts) == 1 else "all layers"
            raise ModelError(
                f"all {len(score_N)} scores of {where} by criterion={criterion!r} are equal: nothing was partitioned. "
                f"Mostly this means that {ADVICE.get(criterion, OTHER)}"
            )


def _are_rounding(effects: Sequence[Tensor], references: Sequence[Tensor], parts: Sequence[int]) -> bool:
    largest = max(float(effects[part].abs().max()) for part in parts)
    reference = max(float(references[part].abs().max()) for part in parts)
    unit = torch.finfo(effects[parts[0]].dtype).eps
    return largest <= ROUNDING * unit * reference
