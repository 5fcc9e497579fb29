"""Scores: which is compared with which, decided by the plan and never by which seeds went well; several as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from statistics import fmean

from .examples import ExampleScores, subtract


@dataclass(frozen=True)
class Score:
    """One score of one seed, its standard error over the test examples if known, and how to read its examples.

    `trials`: of a fraction of right answers, how many answers there were; None for any other score.
    """

    value: float
    stderr: float | None = None
    trials: int | None = None
    read: Callable[[], ExampleScores | None] | None = field(default=None, compare=False, repr=False)
    """Reads what each example contributes, from the disk; None where nothing was kept."""
    overlap: float | None = None
    """Of a seed that has a split of its own: its test examples over all its other ones; None where seeds share them."""

    def examples(self) -> ExampleScores | None:
        """What each example contributes; None where nothing was kept."""
        return None if self.read is None else self.read()

    @property
    def variance(self) -> float | None:
        """The square of the standard error; of a fraction not less than that of two hits and two misses more.

        The usual one is 0 where all answers are right, as if no other answer could be wrong (Agresti & Coull 1998).
        """
        if self.stderr is None:
            return None
        square = self.stderr * self.stderr
        if self.trials is None:
            return square
        likely = (self.value * self.trials + 2) / (self.trials + 4)
        return max(square, likely * (1 - likely) / self.trials)


@dataclass(frozen=True)
class Side:
    """One row on one task: seed to score of what went well, and what was planned."""

    scores: Mapping[int, Score]
    planned: int
    """How many seeds the plan has; 1 for a deterministic row."""
    stochastic: bool
    """Whether the seed can change the result."""


@dataclass(frozen=True)
class Pairing:
    """Pairs of scores, ours first, and how many pairs there would be if every cell had gone well.

    `stochastic`: whether a seed changes one of the two rows.
    """

    pairs: tuple[tuple[Score, Score], ...]
    planned: int
    stochastic: bool = False

    @property
    def lost(self) -> int:
        """Pairs that the plan has and the records do not."""
        return max(0, self.planned - len(self.pairs))

    @property
    def identical(self) -> bool:
        """Whether the two scores of each pair agree to the last digit."""
        return all(ours.value == theirs.value for ours, theirs in self.pairs)


def pair(ours: Side, theirs: Side) -> Pairing:
    """Pair the scores of two rows on one task.

    Args:
        ours: one side. One that is deterministic by plan is paired with every seed of the other.
        theirs: the other side; two stochastic ones are paired seed by seed.
    """
    if not theirs.stochastic:
        return _with_one(ours, theirs, swap=False)
    if not ours.stochastic:
        return _with_one(theirs, ours, swap=True)
    common = sorted(ours.scores.keys() & theirs.scores.keys())
    pairs = tuple((ours.scores[seed], theirs.scores[seed]) for seed in common)
    return Pairing(pairs, min(ours.planned, theirs.planned), stochastic=True)


def _with_one(many: Side, one: Side, swap: bool) -> Pairing:
    """Every seed of `many` with the only result of `one`."""
    found = []
    for (_, score), fixed in product(sorted(many.scores.items()), list(one.scores.values())[:1]):
        found.append((fixed, score) if swap else (score, fixed))
    return Pairing(tuple(found), many.planned, many.stochastic)


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
    stderr = fmean(errors) if len(errors) == len(scores) else None
    return Score(
        fmean(score.value for score in scores),
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
