"""Means over seeds and tasks, with an interval over seeds and test examples.

The seeds are a sample, and so are the examples; the tasks are fixed. The error of a task's mean has two parts
(`intervals.Part`): the variance between the seeds' scores, and the standard error over the test examples, which all
seeds share. Taken together they count the noise of examples that seeds do not share twice, which errs on the safe side.
Where only one of the two is known the interval covers only that, and says so (`covers`).

Where each seed has a split of its own (`Score.overlap`) the spread between seeds holds that of their test examples. But
splits of one set are no independent samples: their test parts have examples in common, and their training parts most of
them. The variance of a mean over n splits is then s² (1 / n + o), s² the variance between them and o the test examples
over the other ones (Nadeau & Bengio 2003, Inference for the generalization error, section 3.1; what they count with the
number of training examples is here all that is not tested). The first part falls with the splits, the second, that of
the examples, does not.

A fraction of right answers near 0 or 1 has a standard error that says too little, none at all where every answer is
right. Of one result the interval is Wilson's, whose ends are not equally far, with the correction for one to three
answers that are not like the others (Wilson 1927; Brown, Cai & DasGupta 2001, section 4.1.1): the usual one covers
0.98 of 64 answers in 72 % of the cases, this one in 96 %, and nothing in less than 91 %. With seeds or over tasks the
variance has a floor (`Score.variance`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from .intervals import Part, average, half_width
from .pairing import Score

Covers = Literal["seeds and examples", "seeds", "examples", "none"]
ALPHA = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval, `mean ± half_width`; no half width where nothing measures the spread.

    `ends`: those of an interval whose sides differ; the half width is then the longer side.
    """

    mean: float
    half_width: float | None
    n: int
    covers: Covers
    ends: tuple[float, float] | None = None

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        if self.ends is not None:
            return self.ends[0]
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        if self.ends is not None:
            return self.ends[1]
        return None if self.half_width is None else self.mean + self.half_width

    def scaled(self, factor: float) -> Estimate:
        """In another unit; `factor` is positive."""
        half_width = None if self.half_width is None else factor * self.half_width
        ends = self.ends and (factor * self.ends[0], factor * self.ends[1])
        return replace(self, mean=factor * self.mean, half_width=half_width, ends=ends)


@dataclass(frozen=True)
class Stratum:
    """The mean of one task, and the parts of its error that are known."""

    mean: float
    n: int
    seeds: Part | None
    examples: Part | None
    floor: Part | None = None
    """The error over the examples alone, where `examples` is less than that."""


@dataclass(frozen=True)
class Combined:
    """The mean over strata and the parts of its error: none where a stratum has none, or a number is too large.

    `floor`: the error over the examples alone, below which the parts do not go.
    """

    mean: float
    n: int
    parts: tuple[Part, ...]
    covers: Covers
    floor: Part | None = None

    @property
    def errors(self) -> tuple[tuple[Part, ...], ...]:
        """The parts, and the floor: the wider interval and the larger p of the two count."""
        return (self.parts,) if self.floor is None else (self.parts, (self.floor,))

    def half_width(self, alpha: float) -> float:
        """Half the width of the interval of level 1 - alpha."""
        return max(half_width(parts, alpha) for parts in self.errors)

    def estimate(self, alpha: float = ALPHA) -> Estimate:
        """With the interval of level 1 - alpha."""
        half = self.half_width(alpha)
        if self.covers == "none" or not math.isfinite(half):
            return Estimate(self.mean, None, self.n, "none")
        return Estimate(self.mean, half, self.n, self.covers)


def estimate(scores: Sequence[Score]) -> Estimate:
    """Mean over the seeds of one task."""
    stratum = _stratum(scores)
    trials = scores[0].trials
    if stratum.seeds is not None or trials is None or scores[0].stderr is None:
        return combine([stratum]).estimate()
    low, high = wilson(stratum.mean, trials)
    half_width = max(stratum.mean - low, high - stratum.mean)
    return Estimate(stratum.mean, half_width, len(scores), "examples", (low, high))


def estimate_mean(tasks: Sequence[Sequence[Score]]) -> Estimate:
    """Mean over tasks of the mean over seeds."""
    return combine([_stratum(scores) for scores in tasks]).estimate()


def _stratum(scores: Sequence[Score]) -> Stratum:
    mean, seeds = seeds_part([score.value for score in scores])
    known = [score.variance for score in scores if score.variance is not None]
    examples = splits_part(scores, seeds)
    if examples is None and len(known) == len(scores):
        # The mean of the seeds' variances, not that over their number: all seeds were scored on the same examples.
        examples = Part(fmean(known), math.inf)
    return Stratum(mean, len(scores), seeds, examples)


def wilson(fraction: float, trials: int) -> tuple[float, float]:
    """The ends of Wilson's 95 % interval of a fraction of answers: where the score test would not reject.

    The end on the side of 0 or 1 is Poisson's where few answers are not there, since Wilson's alone can cover 84 %.

    Args:
        fraction: of right answers.
        trials: answers.

    Returns:
        The lower and the upper end.
    """
    from scipy.special import gammaincinv, ndtri

    z = -float(ndtri(ALPHA / 2))
    wide = 1 + z**2 / trials
    centre = (fraction + z**2 / (2 * trials)) / wide
    half = z / wide * math.sqrt(fraction * (1 - fraction) / trials + z**2 / (4 * trials**2))
    few = 2 if trials <= 50 else 3
    hits = round(fraction * trials)
    # The fraction lies inside; at 0 and 1 rounding would put it outside.
    low = min(fraction, centre - half)
    high = max(fraction, centre + half)
    if 1 <= hits <= few:
        low = min(low, float(gammaincinv(hits, ALPHA)) / trials)
    if 1 <= trials - hits <= few:
        high = max(high, 1 - float(gammaincinv(trials - hits, ALPHA)) / trials)
    return low, high


def seeds_part(values: Sequence[float]) -> tuple[float, Part | None]:
    """The mean, and the part of its error between seeds.

    Seeds that agree to the last digit are one deterministic result: then only the examples measure the spread.
    """
    n = len(values)
    mean = fmean(values)
    offsets = [value - mean for value in values]
    spread = fmean(offset * offset for offset in offsets)
    # Squares of the last digits of a float64: what is below them is the rounding of the mean, not a spread.
    if n == 1 or not spread > 1e-24 * max(1.0, mean * mean) / n:
        return mean, None
    return mean, Part(spread / (n - 1), n - 1)


def splits_part(scores: Sequence[Score], seeds: Part | None) -> Part | None:
    """The part of a mean's error that all splits of one set have in common, where each seed has a split of its own.

    Args:
        scores: of the seeds.
        seeds: the part between them.

    Returns:
        The part; None where seeds share their test examples, or there is one split.
    """
    overlaps = [score.overlap for score in scores if score.overlap is not None]
    if seeds is None or len(overlaps) < len(scores):
        return None
    return Part(fmean(overlaps) * len(scores) * seeds.variance, seeds.df)


def combine(strata: Sequence[Stratum]) -> Combined:
    """The mean of the strata, which weigh the same."""
    k = len(strata)
    mean = fmean(stratum.mean for stratum in strata)
    n = sum(stratum.n for stratum in strata)
    seeds = [stratum.seeds for stratum in strata if stratum.seeds is not None]
    examples = [stratum.examples for stratum in strata if stratum.examples is not None]
    parts = tuple(average(found, k) for found in (seeds, examples) if found)
    # One stratum without a measure of its error leaves that of the mean unknown, whatever the others say.
    finite = math.isfinite(mean) and all(math.isfinite(part.variance) for part in parts)
    if not finite or any(stratum.seeds is None and stratum.examples is None for stratum in strata):
        return Combined(mean, n, (), "none")
    # The error over examples of a mean over tasks is known where that of each task is.
    whole = [stratum.floor or stratum.examples for stratum in strata]
    known = [part for part in whole if part is not None]
    floor = None
    if len(known) == k and any(stratum.floor for stratum in strata):
        floor = average(known, k)
    return Combined(mean, n, parts, _covers(len(seeds), len(examples), k), floor)


def _covers(seeds: int, examples: int, strata: int) -> Covers:
    """What an interval covers in all strata; a stratum that no seed can change needs none."""
    if examples < strata:
        return "seeds"
    return "seeds and examples" if seeds else "examples"


def at_chance(score: Estimate, chance: float | None, higher_is_better: bool) -> bool:
    """Whether the interval does not lie clear of the chance level on the good side.

    Args:
        score: the estimate.
        chance: the score of a blind guess; None where nobody knows it.
        higher_is_better: which side is good.

    Returns:
        True where the score may be chance.
    """
    if chance is None:
        return False
    worst = score.low if higher_is_better else score.high
    if worst is None:
        worst = score.mean
    return worst <= chance if higher_is_better else worst >= chance
