"""Exact, deterministic choice of the candidates that stay, in rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ModelError
from .budgets import Schedule, kept_after
from .granularity import Candidates
from .masked import Masked


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
    candidates: Candidates,
    groups: Sequence[Group],
    layers: Sequence[Masked],
    score: Callable[[], list[Tensor]],
    *,
    rounds: int,
    schedule: Schedule,
) -> tuple[list[Tensor], int]:
    """Boolean tensors of the candidates that stay, per part, and how many tied at the border.

    After each round what is out is zero while the rest is scored again, and it stays out. The layers are as before
    afterwards.
    """
    keep, ties = [torch.ones(left, dtype=torch.bool) for left in candidates.left], 0
    with restored(layers):
        for step in range(1, rounds + 1):
            ends = [kept_after(step, rounds, group.left, group.keep, schedule) for group in groups]
            alive = [sum(int(keep[part].sum()) for part in group.parts) for group in groups]
            scores = candidates.scores(score()) if any(0 < e < a for e, a in zip(ends, alive, strict=True)) else keep
            for group, end, left in zip(groups, ends, alive, strict=True):
                if end < left:
                    ties += _keep_best(scores, keep, group.parts, end, first=step == 1)
            _zero(layers, candidates.entries(keep))
    return keep, ties


def shuffled(keep: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """As many candidates of each part, drawn at random."""
    return [part[torch.randperm(len(part), generator=generator)] for part in keep]


def _keep_best(scores: list[Tensor], keep: list[Tensor], parts: Sequence[int], end: int, *, first: bool) -> int:
    """Put the `end` best of what is in `keep` there, ranked by score, then position; how many tie at the border."""
    row, alive = torch.cat([scores[part].cpu() for part in parts]).double(), torch.cat([keep[part] for part in parts])
    stays = torch.zeros_like(alive)
    ties = 0
    if end > 0:
        row = row[alive]
        _check(row, first)
        order = row.argsort(descending=True, stable=True)
        stays[alive.nonzero()[order[:end], 0]] = True
        last, first_out = row[order[end - 1]], row[order[end]]
        ties = int((row == last).sum()) if last == first_out else 0
    for part, piece in zip(parts, stays.split([len(keep[part]) for part in parts]), strict=True):
        keep[part] = piece
    return ties


def _check(row: Tensor, first: bool) -> None:
    """Raise unless the scores can decide; after the first round only zeros everywhere are a sign of collapse."""
    bad = int((~row.isfinite()).sum())
    if bad:
        raise ModelError(f"{bad} of {len(row)} scores are NaN or infinite: nothing was pruned")
    if row.min() == row.max() and len(row) > 1 and (first or row[0] == 0):
        raise ModelError(
            f"all scores equal {row[0]:g}: nothing was pruned. With init='zero_up' one factor is 0 and so is every "
            "score: attach with init='normal', or train a few steps first"
        )


@torch.no_grad()
def _zero(layers: Sequence[Masked], entries: Sequence[Tensor]) -> None:
    for layer, kept in zip(layers, entries, strict=True):
        layer.stored.masked_fill_(~kept.to(layer.stored.device).view_as(layer.stored), 0)


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
