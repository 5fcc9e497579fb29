"""The paired difference of two rows, averaged over tasks, and what its test says of it.

There is one test for every number of pairs: Student's t on the differences of the pairs, with the part of the error
that comes from the test examples added wherever the outcome of each example is known (`intervals`, `examples`). A
sign-flip test needs six pairs to reach p < 0.05 at all, and 2^n of them under a correction for many rows: more seeds
would weaken its verdict.

Pairs are crossed with examples: every seed of both rows is scored on the same examples. So the difference of a pair on
an example is mean + seed + example + rest, and the variance of the mean is the variance between pairs (which holds the
rest) and the part of the examples that all pairs share; both are estimated by the mean squares of the two-way random
effects model (Searle, Casella & McCulloch 1992, chapter 4; for evaluations of language models Miller 2024,
arXiv:2411.00640). No interval is narrower than the one over the examples alone: a few seeds at times agree better than
their examples allow, by chance, and nobody is surer for that. Examples that were cut from one document count as one
(`sampling`). One pair of rows that no seed changes has the examples alone. Where each seed has a split of its own, a
pair is of one split, and what splits of one set have in common is the part of the examples (`estimates`). Where no
outcomes are kept, the test covers the seeds; for one pair the two standard errors stand in, as if the examples were not
shared, which errs on the safe side.

One pair of a row that a seed does change decides nothing, however many examples there are: how far another seed would
be from it is not known ("one seed"). Ten such rows that are alike would give a "better" or "worse" in half of all
tables.

Several comparisons with one baseline are corrected by Bonferroni's inequality, the p-values and the intervals alike:
the interval then excludes zero just where p < 0.05. Holm's p-values are smaller, but the intervals that agree with them
say nothing but the sign of what is significant (Strassburger & Bretz 2008), and a table is read for sizes.

Outcomes: "better" or "worse" if p < 0.05; "equivalent" if two one-sided tests (TOST) put the difference within a margin
that the suite states, at the level of the printed interval (2.5 % a side); "identical" if all pairs agree to the last
digit, example by example where these are known; "one seed" as above; "not comparable" where nothing measures the
spread; else "undecided".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .estimates import ALPHA, Combined, Estimate, Stratum, combine, seeds_part, splits_part
from .examples import ExampleScores, subtract
from .intervals import Part, equivalence_p, p_value
from .pairing import Pairing, Score
from .sampling import examples_error

Outcome = Literal["better", "equivalent", "identical", "undecided", "one seed", "worse", "not comparable"]
Test = Literal["t", "t over examples", "z over examples, unpaired", "none"]
Examples = Literal["paired", "unpaired", "one cluster"]
ONE_CLUSTER = "its examples are of one document, and an interval over examples needs two or more"
"""Why a comparison has no interval though the outcomes of its examples are known."""


@dataclass(frozen=True)
class Difference:
    """A paired difference, signed so that positive means better; `comparisons` is how many it is corrected for.

    `margin`: a difference below it counts as none, in the score's unit; None where nobody stated one. `one_seed`: on a
    task there is one pair of a row that a seed changes. `reason`: why there is no interval, where more can be said.
    """

    combined: Combined
    test: Test
    tasks: int
    pairs: int
    lost: int
    identical: bool
    comparisons: int = 1
    margin: float | None = None
    one_seed: bool = False
    reason: str = ""

    @property
    def estimate(self) -> Estimate:
        """With the interval that is corrected as p is."""
        return self.combined.estimate(ALPHA / self.comparisons)

    @property
    def p(self) -> float | None:
        """Corrected p of "no difference", two-sided: below 5 % just where the interval excludes it.

        None where nothing measures the spread, or that of the seeds.
        """
        if self.combined.covers == "none" or self.one_seed:
            return None
        mean = self.combined.mean
        return min(1.0, self.comparisons * max(p_value(mean, parts) for parts in self.combined.errors))

    @property
    def equivalence_p(self) -> float | None:
        """Corrected p of "a difference as large as the margin"; None without a margin or a measure of the spread."""
        if self.margin is None or self.combined.covers == "none" or self.one_seed:
            return None
        mean = self.combined.mean
        largest = max(equivalence_p(mean, parts, self.margin) for parts in self.combined.errors)
        return min(1.0, self.comparisons * largest)

    @property
    def outcome(self) -> Outcome:
        """What the tests say; "not comparable" where nothing measures the spread.

        Read off the interval, which takes one quantile where a p-value of several parts takes sixty: it excludes zero
        just where p < 0.05, and lies within the margin just where both one-sided tests are below 2.5 %.
        """
        mean = self.combined.mean
        if self.identical and not any(part.variance for part in self.combined.parts):
            return "identical"
        if self.one_seed:
            return "one seed"
        if self.combined.covers == "none":
            return "not comparable"
        half = self.combined.half_width(ALPHA / self.comparisons)
        if half < mean:
            return "better"
        if half < -mean:
            return "worse"
        if self.margin is not None and abs(mean) + half < self.margin:
            return "equivalent"
        return "undecided"

    def corrected(self, comparisons: int) -> Difference:
        """The same as one of several comparisons."""
        return replace(self, comparisons=max(1, comparisons))


def difference(tasks: Sequence[Pairing], higher_is_better: bool = True, margin: float | None = None) -> Difference:
    """Paired difference of (ours, theirs), averaged over tasks.

    Args:
        tasks: the pairs of each task, at least one of each.
        higher_is_better: whether a larger score is a better one.
        margin: the largest difference that counts as none; None tests no equivalence.

    Returns:
        The difference with its interval, p-value and outcome.
    """
    sign = 1.0 if higher_is_better else -1.0
    strata, examples = zip(*(_stratum(task.pairs, sign) for task in tasks), strict=True)
    combined = combine(strata)
    reason = ""
    if "one cluster" in examples:
        # With seeds there would be an interval, but one of this document alone.
        combined = replace(combined, parts=(), covers="none", floor=None)
        reason = ONE_CLUSTER
    return Difference(
        combined=combined,
        test=_test(combined, paired=set(examples) == {"paired"}),
        tasks=len(tasks),
        pairs=sum(len(task.pairs) for task in tasks),
        lost=sum(task.lost for task in tasks),
        identical=all(task.identical for task in tasks),
        margin=margin,
        one_seed=any(task.stochastic and len(task.pairs) == 1 for task in tasks),
        reason=reason,
    )


def _stratum(pairs: Sequence[tuple[Score, Score]], sign: float) -> tuple[Stratum, Examples]:
    """One task, and what is known of its examples."""
    mean, seeds = seeds_part([sign * (ours.value - theirs.value) for ours, theirs in pairs])
    shared = splits_part([ours for ours, _ in pairs], seeds)
    if shared is not None:
        return Stratum(mean, len(pairs), seeds, shared), "unpaired"
    if pairs[0][0].overlap is not None:  # one split, or several on which the rows agree to the last digit
        pairs = pairs[:1]
    matched = _paired_examples(pairs)
    if matched is None:
        examples = None
        if seeds is None:
            examples = _two_errors(*pairs[0])
        return Stratum(mean, len(pairs), seeds, examples), "unpaired"
    error = examples_error(matched)
    if error is None:
        return Stratum(mean, len(pairs), seeds, None), "one cluster"
    if seeds is None:
        return Stratum(mean, len(pairs), None, error.whole), "paired"
    return Stratum(mean, len(pairs), seeds, error.shared, error.whole), "paired"


def _two_errors(ours: Score, theirs: Score) -> Part | None:
    """As if the examples were not shared. Where all answers are right, or all are wrong, on both sides none differs."""
    if ours.variance is None or theirs.variance is None:
        return None
    if ours.value == theirs.value and ours.stderr == theirs.stderr == 0:
        return Part(0.0, math.inf)
    return Part(ours.variance + theirs.variance, math.inf)


def _paired_examples(pairs: Sequence[tuple[Score, Score]]) -> list[ExampleScores] | None:
    """The differences of each pair by example, if those of all pairs were kept and are of the same examples."""
    found: list[ExampleScores] = []
    for ours, theirs in pairs:
        one = subtract(ours.examples(), theirs.examples())
        if one is None or (found and len(one.values) != len(found[0].values)):
            return None
        found.append(one)
    return found


def _test(combined: Combined, paired: bool) -> Test:
    if combined.covers == "none":
        return "none"
    if combined.covers != "examples":
        return "t"
    if paired:
        return "t over examples"
    return "z over examples, unpaired"
