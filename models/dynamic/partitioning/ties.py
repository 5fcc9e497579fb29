"""Scores that cannot decide anything, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from ...errors import ModelError
from ...sparsity.selection import Group
from .candidates import ModeCandidates

# Shapes: C candidates of a part, N those of a group.

ADVICE = {
    "switch": (
        "static and dynamic weights are copies of one, so that a change of mode changes nothing: take "
        "criterion='remove', or warmup=WarmUp() to train a few steps before, or static='random'"
    ),
}
"""Why all scores of a criterion are equal, in most cases, and the way out."""
ADVICE["inverted"] = ADVICE["switch"]
ATTENTION_ADVICE = (
    "the rows that the factors of attentions are made of are 0, as they are at first, so that no factor depends on the "
    "input: take criterion='remove', or warmup=WarmUp() to train a few steps before"
)
"""The same of attentions, for every criterion but those that look at the factors alone."""
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
    attentions: Collection[str] = (),
) -> None:
    """Raise a `ModelError` where the scores of a group, all of which is dynamic, are equal or 0 but for rounding, or
    where whole parts have no score but 0 and the border falls among such.

    `effects` have the shapes of the weights, and `references` the size of what they are differences of (`scores`);
    `names` are those of the parts, and `attentions` those among them that are no layers.
    """
    scores = candidates.scores(effects)
    for group in groups:
        if not 0 < group.keep < group.left:  # nothing to choose
            continue
        score_N = torch.cat([scores[part].cpu() for part in group.parts])
        tied = len(score_N) > 1 and bool(score_N.min() == score_N.max())
        if tied or _are_rounding(effects, references, group.parts):
            inside = [names[part] for part in group.parts]
            advice = _advice(criterion, of_attentions=inside[0] in attentions)
            raise ModelError(
                f"all {len(score_N)} scores of {_called(inside, attentions)} by criterion={criterion!r} are equal: "
                f"nothing was partitioned. Mostly this means that {advice}"
            )
        dead = [names[part] for part in group.parts if not effects[part].any()]
        if dead and _border_is_zero(score_N, group.keep):
            raise ModelError(
                f"{len(dead)} of {len(group.parts)} ({', '.join(dead[:3])}, ...) have no score but 0 by "
                f"criterion={criterion!r}, and which of their weights stay dynamic would go by their position: nothing "
                "was partitioned. The loss does not depend on them, as behind a norm that starts at 0: take "
                "warmup=WarmUp() to train a few steps before"
            )


def _border_is_zero(score_N: Tensor, keep: int) -> bool:
    """Whether the last score that stays and the first one that goes are both 0."""
    ordered_N = score_N.sort(descending=True).values
    return bool(ordered_N[keep - 1] == 0) and bool(ordered_N[keep] == 0)


def _called(inside: Sequence[str], attentions: Collection[str]) -> str:
    if len(inside) == 1:
        return inside[0]
    return "all attentions" if inside[0] in attentions else "all layers"


def _advice(criterion: str, *, of_attentions: bool) -> str:
    if not of_attentions:
        return ADVICE.get(criterion, OTHER)
    return OTHER if criterion in ("remove", "random") else ATTENTION_ADVICE


def _are_rounding(effects: Sequence[Tensor], references: Sequence[Tensor], parts: Sequence[int]) -> bool:
    largest = max(float(effects[part].abs().max()) for part in parts)
    reference = max(float(references[part].abs().max()) for part in parts)
    unit = torch.finfo(effects[parts[0]].dtype).eps
    return largest <= ROUNDING * unit * reference
