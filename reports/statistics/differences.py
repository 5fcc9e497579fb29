"""The paired difference of two rows, averaged over tasks, and what its test says of it.

There is one test for every number of pairs: Student's t on the differences of the pairs, with the part of the error
that comes from the test examples added wherever the outcome of each example is known (`intervals`, `examples`). A
sign-flip test needs six pairs to reach p < 0.05 at all, and 2^n of them under a correction for many rows: more seeds
would weaken its verdict. `sign_flip` stays as a check that assumes no normality, and decides nothing.

Pairs are crossed with examples: every seed of both rows is scored on the same examples. So the difference of a pair on
an example is mean + seed + example + rest, and the variance of the mean is the variance between pairs (which holds the
rest) and the part of the examples that all pairs share; both are estimated by the mean squares of the two-way random
effects model (Searle, Casella & McCulloch 1992, chapter 4; for evaluations of language models Miller 2024,
arXiv:2411.00640). One pair has the examples alone. Where no outcomes are kept, the test covers the seeds; for one pair
the two standard errors stand in, as if the examples were not shared, which errs on the safe side.

Several comparisons with one baseline are corrected by Bonferroni's inequality, the p-values and the intervals alike:
the interval then excludes zero just where p < 0.05. Holm's p-values are smaller, but the intervals that agree with them
say nothing but the sign of what is significant (Strassburger & Bretz 2008), and a table is read for sizes.

Outcomes: "better" or "worse" if p < 0.05; "equivalent" if two one-sided tests (TOST) put the difference within a margin
that the suite states, at the level of the printed interval (2.5 % a side); "identical" if all pairs agree to the last
digit, example by example where these are known; else "undecided".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from .estimates import ALPHA, Combined, Estimate, Stratum, combine, seeds_part, square
from .examples import examples_part, subtract
from .intervals import Part, equivalence_p, half_width, p_value
from .pairing import Pairing, Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Outcome = Literal["better", "equivalent", "identical", "undecided", "worse", "not comparable"]
Test = Literal["t", "t over examples", "z over examples, unpaired", "none"]
FEWEST_FLIPS = 6
"""With fewer pairs no assignment of signs is as rare as 5 %."""
EXACT_PAIRS = 14
"""Up to this many pairs all 2^n sign flips are counted; above it `RESAMPLES` of them are drawn."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class Difference:
    """A paired difference, signed so that positive means better; `comparisons` is how many it is corrected for.

    `margin`: a difference below it counts as none, in the score's unit; None where nobody stated one.
    """

    combined: Combined
    test: Test
    tasks: int
    pairs: int
    lost: int
    identical: bool
    comparisons: int = 1
    margin: float | None = None

    @property
    def estimate(self) -> Estimate:
        """With the interval that is corrected as p is."""
        return self.combined.estimate(ALPHA / self.comparisons)

    @property
    def p(self) -> float | None:
        """Corrected p of "no difference"; None where nothing measures the spread."""
        if self.combined.covers == "none":
            return None
        return min(1.0, self.comparisons * p_value(self.combined.mean, self.combined.parts))

    @property
    def equivalence_p(self) -> float | None:
        """Corrected p of "a difference as large as the margin"; None without a margin or a measure of the spread."""
        if self.margin is None or self.combined.covers == "none":
            return None
        return min(1.0, self.comparisons * equivalence_p(self.combined.mean, self.combined.parts, self.margin))

    @property
    def outcome(self) -> Outcome:
        """What the tests say; "not comparable" where nothing measures the spread.

        Read off the interval, which takes one quantile where a p-value of several parts takes sixty: it excludes zero
        just where p < 0.05, and lies within the margin just where both one-sided tests are below 2.5 %.
        """
        mean = self.combined.mean
        if self.identical and not any(part.variance for part in self.combined.parts):
            return "identical"
        if self.combined.covers == "none":
            return "not comparable"
        half = half_width(self.combined.parts, ALPHA / self.comparisons)
        if half < abs(mean):
            return "better" if mean > 0 else "worse"
        if self.margin is not None and abs(mean) + half < self.margin:
            return "equivalent"
        return "undecided"

    def corrected(self, comparisons: int) -> Difference:
        """The same as one of several comparisons."""
        return replace(self, comparisons=max(1, comparisons))


def difference(tasks: Sequence[Pairing], higher_is_better: bool = True, margin: float | None = None) -> Difference:
    """Paired difference of (ours, theirs), averaged over tasks; every pairing has a pair."""
    sign = 1.0 if higher_is_better else -1.0
    strata = []
    paired = True
    for task in tasks:
        stratum, by_example = _stratum(task.pairs, sign)
        strata.append(stratum)
        paired = paired and by_example
    combined = combine(strata)
    return Difference(
        combined=combined,
        test=_test(combined, paired),
        tasks=len(tasks),
        pairs=sum(len(task.pairs) for task in tasks),
        lost=sum(task.lost for task in tasks),
        identical=all(a.value == b.value for task in tasks for a, b in task.pairs),
        margin=margin,
    )


def _stratum(pairs: Sequence[tuple[Score, Score]], sign: float) -> tuple[Stratum, bool]:
    """One task, and whether its examples were paired."""
    mean, seeds = seeds_part([sign * (ours.value - theirs.value) for ours, theirs in pairs])
    examples = _paired_examples(pairs, beside_seeds=seeds is not None)
    paired = examples is not None
    if not paired and seeds is None:
        ours, theirs = (square(score.stderr) for score in pairs[0])
        if ours is not None and theirs is not None:
            examples = Part(ours + theirs, float("inf"))
    return Stratum(mean, len(pairs), seeds, examples), paired


def _paired_examples(pairs: Sequence[tuple[Score, Score]], beside_seeds: bool) -> Part | None:
    """The part of the examples, if those of all pairs were kept and are the same."""
    found = []
    for ours, theirs in pairs:
        if ours.read is None or theirs.read is None:
            return None
        one = subtract(ours.read(), theirs.read())
        if one is None or (found and len(one.values) != len(found[0].values)):
            return None
        found.append(one)
    return examples_part(found, beside_seeds)


def _test(combined: Combined, paired: bool) -> Test:
    if combined.covers == "none":
        return "none"
    if combined.covers != "examples":
        return "t"
    return "t over examples" if paired else "z over examples, unpaired"


def sign_flip(tasks: Sequence[Pairing], seed: int = 0) -> float | None:
    """Two-sided p of the mean over tasks of the mean difference, under random signs of the pairs.

    Exact for up to `EXACT_PAIRS` pairs, else by `RESAMPLES` draws, the observed one counted (Phipson & Smyth 2010).
    None with fewer than `FEWEST_FLIPS` pairs.
    """
    import numpy as np

    found = []
    for task in tasks:
        found += [(ours.value - theirs.value) / len(task.pairs) for ours, theirs in task.pairs]
    if len(found) < FEWEST_FLIPS:
        return None
    weighted = np.asarray(found)
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
