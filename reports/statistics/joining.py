"""Several scores as one: the mean over draws on one trained model, and the change from the score of another row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from .estimates import mean_of
from .examples import ExampleScores, subtract
from .pairing import Score


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of scores on the same examples.

    Args:
        scores: one or more.

    Returns:
        Their mean; its standard error is the mean of theirs, since they share the examples.
    """
    if len(scores) == 1:
        return scores[0]
    errors = [score.stderr for score in scores if score.stderr is not None]
    stderr = mean_of(errors) if len(errors) == len(scores) else None
    return Score(
        mean_of([score.value for score in scores]),
        stderr,
        read=partial(_mean_examples, scores),
        overlap=scores[0].overlap,
    )


def change(score: Score, base: Score) -> Score:
    """A score minus another one, by example where these are known.

    Args:
        score: the score.
        base: what it is counted from.

    Returns:
        The difference; without examples its standard error is the sum of the two, which errs on the safe side.
    """
    stderr = None
    if score.stderr is not None and base.stderr is not None:
        stderr = score.stderr + base.stderr
    return Score(
        score.value - base.value,
        stderr,
        read=lambda: subtract(score.examples(), base.examples()),
        overlap=score.overlap,
    )


def _mean_examples(scores: Sequence[Score]) -> ExampleScores | None:
    """None where the examples of one are not known, or are others."""
    found = [score.examples() for score in scores]
    first = found[0]
    if first is None:
        return None
    total = first.values
    for other in found[1:]:
        difference = subtract(first, other)
        if difference is None:
            return None
        total = total + (first.values - difference.values)
    return replace(first, values=total / len(found))
