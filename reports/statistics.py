"""Means with intervals, paired differences with tests, and the averages over tasks.

The seed is the unit of replication. Where there is one record only (a deterministic method), the standard error over
the test examples stands in, and the result says so (`source="examples"`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Source = Literal["seeds", "examples", "none"]
Outcome = Literal["better", "same", "worse", "not comparable"]
CONFIDENCE = 0.95
ALPHA = 0.05
EXACT_PAIRS = 14
"""Up to this many pairs all 2^n sign flips are counted; above it `RESAMPLES` of them are drawn."""
RESAMPLES = 10_000
_Z = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval, `mean ± half_width`; no half width where nothing measures the spread."""

    mean: float
    half_width: float | None
    n: int
    source: Source

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        return None if self.half_width is None else self.mean + self.half_width


@dataclass(frozen=True)
class Score:
    """One score of one seed, with its standard error over the test examples, if known."""

    value: float
    stderr: float | None = None


@dataclass(frozen=True)
class Difference:
    """A paired difference, signed so that positive means better, its test and what follows."""

    estimate: Estimate
    p: float | None
    test: str
    tasks: int = 1

    @property
    def outcome(self) -> Outcome:
        """Better or worse only if p < 0.05; "not comparable" where nothing measures the spread."""
        if self.p is None:
            return "same" if self.estimate.mean == 0 else "not comparable"
        if self.p >= ALPHA:
            return "same"
        return "better" if self.estimate.mean > 0 else "worse"


def student_t(df: float) -> float:
    """The two-sided 95 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + CONFIDENCE / 2)) if math.isfinite(df) else _Z


@dataclass(frozen=True)
class _Stratum:
    """Mean of one task, the variance of that mean, and its degrees of freedom (infinite from examples)."""

    mean: float
    variance: float | None
    df: float
    n: int


def _stratum(values: Sequence[float], variance_of_one: float | None) -> _Stratum:
    """Seeds that agree to the last digit are one deterministic result: then only the examples measure the spread."""
    n = len(values)
    mean = math.fsum(values) / n
    spread = math.fsum((value - mean) ** 2 for value in values)
    if n > 1 and spread > 1e-24 * max(1.0, mean * mean):
        return _Stratum(mean, spread / (n - 1) / n, n - 1, n)
    return _Stratum(mean, variance_of_one, math.inf, n)


def _combine(strata: Sequence[_Stratum]) -> tuple[Estimate, float | None, float]:
    """Equal-weight mean of the strata; Welch-Satterthwaite degrees of freedom. Also the standard error and the df."""
    k = len(strata)
    mean = math.fsum(s.mean for s in strata) / k
    n = sum(s.n for s in strata)
    source: Source = "seeds" if any(math.isfinite(s.df) for s in strata) else "examples"
    variances = [s.variance for s in strata if s.variance is not None]
    if len(variances) < k:
        return Estimate(mean, None, n, "none"), None, math.inf
    variance = math.fsum(variances) / k**2
    denominator = math.fsum((s.variance or 0.0) ** 2 / s.df for s in strata) / k**4
    df = variance**2 / denominator if denominator > 0 else math.inf
    error = math.sqrt(variance)
    return Estimate(mean, student_t(df) * error, n, source), error, df


def estimate(scores: Sequence[Score]) -> Estimate:
    """Mean over seeds with the t interval; one record's interval comes from its standard error over examples."""
    return estimate_mean([scores])


def estimate_mean(tasks: Sequence[Sequence[Score]]) -> Estimate:
    """Mean over tasks of the mean over seeds; the tasks are fixed, the seeds are the sample."""
    strata = [_stratum([s.value for s in scores], _square(scores[0].stderr)) for scores in tasks]
    return _combine(strata)[0]


def difference(
    tasks: Sequence[Sequence[tuple[Score, Score]]], higher_is_better: bool = True, seed: int = 0
) -> Difference:
    """Paired difference of (ours, theirs) scores, averaged over tasks.

    The test is the sign-flip permutation test over all task × seed pairs, if it has six pairs or more (with fewer it
    can never reach p < 0.05); else Student's t on the differences; else, for deterministic records, z from the two
    standard errors over the examples, as if the examples were not shared (which errs on the safe side).
    """
    sign = 1.0 if higher_is_better else -1.0
    diffs = [[sign * (a.value - b.value) for a, b in pairs] for pairs in tasks]
    unpaired = [_sum_squares(pairs[0]) for pairs in tasks]
    strata = [_stratum(d, v) for d, v in zip(diffs, unpaired, strict=True)]
    mean, error, df = _combine(strata)
    if error is None:
        return Difference(mean, None, "none", len(tasks))
    if mean.source == "seeds" and sum(s.n for s in strata) >= 6:
        return Difference(mean, sign_flip(diffs, seed), "sign-flip", len(tasks))
    return Difference(mean, _p_of_t(mean.mean, error, df), "t" if mean.source == "seeds" else "z", len(tasks))


def sign_flip(diffs: Sequence[Sequence[float]], seed: int = 0) -> float:
    """Two-sided p of the mean over tasks of the mean difference, under random signs of the pairs.

    Exact for up to `EXACT_PAIRS` pairs, else by `RESAMPLES` draws, the observed one counted (Phipson & Smyth 2010).
    """
    import numpy as np

    weighted = np.concatenate([np.asarray(d, dtype=float) / len(d) for d in diffs])
    observed = abs(weighted.sum()) * (1 - 1e-12)
    extreme = np.count_nonzero(np.abs(_signs(len(weighted), seed) @ weighted) >= observed)
    if len(weighted) <= EXACT_PAIRS:
        return float(extreme / 2 ** len(weighted))
    return float((1 + extreme) / (1 + RESAMPLES))


@lru_cache(maxsize=4)
def _signs(n: int, seed: int) -> NDArray[np.floating]:
    """Rows of n signs: all of them for few pairs, else random ones. Kept, since a table asks for the same n again."""
    import numpy as np

    if n <= EXACT_PAIRS:
        return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    return 1.0 - 2.0 * np.random.default_rng(seed).integers(0, 2, size=(RESAMPLES, n), dtype=np.int8)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction; None (no test) stays None and does not count."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, i) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p))
        corrected[i] = running
    return corrected


def vtab_averages(scores: Mapping[str, float], groups: Mapping[str, str]) -> tuple[float, float]:
    """The two averages in use: the mean over tasks, and the mean of the group means.

    Args:
        scores: task to score.
        groups: task to group; every task of `scores` needs one.
    """
    by_group: dict[str, list[float]] = {}
    for task, score in scores.items():
        by_group.setdefault(groups[task], []).append(score)
    means = [math.fsum(members) / len(members) for members in by_group.values()]
    return math.fsum(scores.values()) / len(scores), math.fsum(means) / len(means)


def at_chance(score: Estimate, chance: float | None, higher_is_better: bool) -> bool:
    """Whether the interval does not lie clear of the chance level on the good side."""
    if chance is None:
        return False
    worst = score.low if higher_is_better else score.high
    worst = score.mean if worst is None else worst
    return worst <= chance if higher_is_better else worst >= chance


def _p_of_t(mean: float, error: float, df: float) -> float:
    from scipy.special import ndtr, stdtr

    if error == 0:
        return 1.0 if mean == 0 else 0.0
    t = -abs(mean) / error
    return float(2 * (stdtr(df, t) if math.isfinite(df) else ndtr(t)))


def _square(stderr: float | None) -> float | None:
    return None if stderr is None else stderr**2


def _sum_squares(pair: tuple[Score, Score]) -> float | None:
    ours, theirs = (_square(score.stderr) for score in pair)
    return None if ours is None or theirs is None else ours + theirs
