"""Exact, deterministic choice of the candidates that stay, in rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ModelError
from .budgets import Schedule, kept_after
from .granularity import Granularity
from .masked import Masked

# Shapes: C candidates of a part that are left, N those of a group, A those of a group that are still in.


@dataclass(frozen=True, kw_only=True)
class Group:
    """Parts that are ranked together, and how many of their candidates stay after the last round."""

    parts: Sequence[int]
    left: int
    keep: int

    def __post_init__(self) -> None:
        if self.keep > self.left:
            raise ModelError(f"{self.keep} weights (or units) shall stay, but earlier pruning left only {self.left}")


def choose(
    granularity: Granularity,
    groups: Sequence[Group],
    layers: Sequence[Masked],
    score: Callable[[], list[Tensor]],
    *,
    rounds: int,
    schedule: Schedule,
) -> tuple[list[Tensor], int]:
    """Which candidates stay.

    After each round what is out is zero while the rest is scored again, and it stays out. The layers are as before
    afterwards.

    Args:
        granularity: what a candidate is.
        groups: how many of which parts stay; each is ranked by itself.
        layers: what is pruned while it is scored.
        score: scores of all candidates, by part.
        rounds: how many times they are scored.
        schedule: how many are left after each round.

    Returns:
        Boolean tensors (C,) of the candidates that stay, by part, and how many tied at the border.

    Raises:
        ModelError: a score is not finite, or all scores are equal.
    """
    keep = [torch.ones(left, dtype=torch.bool) for left in granularity.left]
    ties = 0
    with restored(layers):
        for step in range(1, rounds + 1):
            targets = [kept_after(step, rounds, group.left, group.keep, schedule) for group in groups]
            ties += _shrink(granularity, groups, targets, keep, score, first=step == 1)
            _zero(layers, granularity.kept_entries(keep))
    return keep, ties


def shuffled(keep: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """As many candidates of each part, drawn at random."""
    return [part[torch.randperm(len(part), generator=generator)] for part in keep]


def _shrink(
    granularity: Granularity,
    groups: Sequence[Group],
    targets: Sequence[int],
    keep: list[Tensor],
    score: Callable[[], list[Tensor]],
    *,
    first: bool,
) -> int:
    """Leave in each group as many candidates as its target says; gives how many tied at the borders."""
    ranked: list[tuple[Group, int]] = []
    for group, target in zip(groups, targets, strict=True):
        if target == 0:
            for part in group.parts:
                keep[part] = torch.zeros_like(keep[part])
        elif target < sum(int(keep[part].sum()) for part in group.parts):
            ranked.append((group, target))
    if not ranked:  # scores cost passes over the data, and here they decide nothing
        return 0
    scores = granularity.scores(score())
    ties = 0
    for group, target in ranked:
        ties += _keep_best(scores, keep, group.parts, target, first=first)
    return ties


def _keep_best(scores: list[Tensor], keep: list[Tensor], parts: Sequence[int], count: int, *, first: bool) -> int:
    """Leave in `keep` the `count` best of what is there, ranked by score, then position; how many tie at the border.

    `count` is less than what is there, and at least 1.
    """
    alive_N = torch.cat([keep[part] for part in parts])
    score_N = torch.cat([scores[part].cpu() for part in parts]).double()
    score_A = score_N[alive_N]
    _check(score_A, first)
    order_A = score_A.argsort(descending=True, stable=True)  # stable: equal scores stay in the order of position
    place_A = alive_N.nonzero()[:, 0]
    stays_N = torch.zeros_like(alive_N)
    stays_N[place_A[order_A[:count]]] = True
    sizes = [len(keep[part]) for part in parts]
    for part, stays_C in zip(parts, stays_N.split(sizes), strict=True):
        keep[part] = stays_C
    last_in = score_A[order_A[count - 1]]
    first_out = score_A[order_A[count]]
    if last_in != first_out:
        return 0
    return int((score_A == last_in).sum())


def _check(score_A: Tensor, first: bool) -> None:
    """Raise unless the scores can decide; after the first round only zeros everywhere are a sign of collapse."""
    bad = int((~score_A.isfinite()).sum())
    if bad:
        raise ModelError(f"{bad} of {len(score_A)} scores are NaN or infinite: nothing was pruned")
    if score_A.min() == score_A.max() and len(score_A) > 1 and (first or score_A[0] == 0):
        raise ModelError(
            f"all scores equal {score_A[0]:g}: nothing was pruned. With init='zero_up' one factor is 0 and so is every "
            "score: attach with init='normal', or train a few steps first"
        )


@torch.no_grad()
def _zero(layers: Sequence[Masked], kept_entries: Sequence[Tensor]) -> None:
    """Set the stored entries that are out to 0, so that the others are scored without them."""
    for layer, keep_E in zip(layers, kept_entries, strict=True):
        out = ~keep_E.to(layer.stored.device).view_as(layer.stored)
        layer.stored.masked_fill_(out, 0)


@contextmanager
def restored(layers: Sequence[Masked]) -> Iterator[None]:
    """Give the layers back, afterwards, the values they have now."""
    before = [layer.stored.detach().clone() for layer in layers]
    try:
        yield
    finally:
        with torch.no_grad():
            for layer, values in zip(layers, before, strict=True):
                layer.stored.copy_(values)
