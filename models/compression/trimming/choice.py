"""Which of the parts that could go do go: by similarity, or by one of the controls of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch

from ...errors import ModelError, check_choice

Choice = Literal["similarity", "reverse", "random", "first", "last"]
"""The most similar ones; or, as controls, the least similar ones, random ones, the first or the last of the model."""
CHOICES: tuple[str, ...] = get_args(Choice)
BY_SIMILARITY = ("similarity", "reverse")
"""Choices that need calibration data."""


def choose(
    candidates: Sequence[int],
    n: int,
    *,
    choice: Choice = "similarity",
    similarity: Mapping[int, float] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[int, ...]:
    """Choose n of the candidates, all at once.

    Args:
        candidates: indices of blocks, in the order of the model.
        n: how many.
        choice: "similarity", or a control: "reverse", "random", "first" or "last".
        similarity: a value for each candidate. Of equal ones the later goes first, as deeper layers are the more
            redundant ones in the papers.
        generator: draws those of "random".

    Returns:
        The chosen ones, in the order of the model.

    Raises:
        ModelError: an n that is no whole number of 0 to as many as there are candidates, a choice without what it
            needs.

    Example: `choose([1, 2, 3], 2, similarity={1: 0.9, 2: 0.7, 3: 0.8})` is `(1, 3)`.
    """
    check_choice("choice", choice, CHOICES)
    check_number(n, len(candidates))
    if choice == "first":
        return tuple(candidates[:n])
    if choice == "last":
        return tuple(candidates[len(candidates) - n :])
    if choice == "random":
        return _random(candidates, n, generator)
    return _ranked(candidates, n, similarity, reverse=choice == "reverse")


def check_number(n: int, most: int) -> None:
    """Raise a `ModelError` unless n is a whole number of 0 to `most`."""
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= most:
        raise ModelError(f"n={n!r} must be a whole number from 0 to {most}, as many as can be dropped here")


def _random(candidates: Sequence[int], n: int, generator: torch.Generator | None) -> tuple[int, ...]:
    if generator is None:
        raise ModelError("choice='random' needs a generator: torch.Generator().manual_seed(0), say")
    drawn = torch.randperm(len(candidates), generator=generator)[:n].sort().values
    return tuple(candidates[place] for place in drawn.tolist())


def _ranked(
    candidates: Sequence[int], n: int, similarity: Mapping[int, float] | None, *, reverse: bool
) -> tuple[int, ...]:
    if similarity is None:
        raise ModelError("a choice by similarity needs the similarities: measure them on calibration data")
    missing = [index for index in candidates if index not in similarity]
    if missing:
        raise ModelError(f"no similarity was measured for the blocks {missing}, which are candidates")
    sign = -1 if reverse else 1
    ranked = sorted(candidates, key=lambda index: (sign * similarity[index], index), reverse=True)
    return tuple(sorted(ranked[:n]))
