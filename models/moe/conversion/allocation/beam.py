"""Beam search over a number for each layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

State = TypeVar("State")


@dataclass(frozen=True)
class Found(Generic[State]):
    """Numbers of the layers so far, what was made of them, and their score: less is better."""

    numbers: tuple[int, ...]
    state: State
    score: float


def beam_search(
    layers: int,
    choices: Sequence[int],
    start: State,
    extend: Callable[[State, int, int], tuple[State, float]],
    *,
    width: int,
    uniform: int,
) -> tuple[Found[State], Found[State]]:
    """The best numbers that a beam finds, layer by layer, and the uniform ones, which the beam never drops.

    The best are therefore never worse than the uniform ones in the score of the last layer. Equal scores: what is
    nearer to uniform, then the smaller numbers.

    Args:
        layers: how many numbers.
        choices: what each may be.
        start: the state before the first layer.
        extend: of (state, layer, choice): the state after the layer, and its score.
        width: how many go on from layer to layer, beside the uniform ones; 1 is greedy.
        uniform: one of `choices`.

    Returns:
        The best and the uniform one.

    Raises:
        ValueError: a width below 1, and a uniform number that is no choice.
    """
    if width < 1 or uniform not in choices or layers < 1:
        raise ValueError(f"width={width} and layers={layers} must be 1 or more, uniform={uniform} one of {choices}")
    beam: list[Found[State]] = [Found((), start, 0.0)]
    for layer in range(layers):
        candidates = []
        for found in beam:
            for choice in choices:
                state, score = extend(found.state, layer, choice)
                candidates.append(Found((*found.numbers, choice), state, score))
        candidates.sort(key=lambda found: (found.score, _distance(found, uniform), found.numbers))
        beam = candidates[:width]
        if not any(_distance(found, uniform) == 0 for found in beam):
            beam.append(next(found for found in candidates if _distance(found, uniform) == 0))
    return beam[0], next(found for found in beam if _distance(found, uniform) == 0)


def _distance(found: Found[State], uniform: int) -> int:
    return sum(abs(number - uniform) for number in found.numbers)
