"""Which row to take, and how sure that is, from the outcomes on the validation part.

The test part chooses nothing: it is scored once a row, and what it says of the chosen row is reported as it is.

1. The best row by mean score on the validation part is found, and every pair of rows is compared by a paired test over
   validation examples and seeds (`reports.statistics`). Since the best row was found in the same scores, intervals are
   corrected for all pairs of rows (Bonferroni), not for those with the best row only.
2. Rows that are not worse than the best one by that test are tied with it; the cheapest of them is recommended, by the
   operations for an example. Prices up to a tenth above the lowest count as equal, and the better score decides.
   One seed of a row that the seed changes is tied with nothing: it is recommended only where it is the best itself.
   A row's score is that of the best of its own trials on this part, at most six; that flatters rows with many trials a
   little, and the test column shows by how much.
3. "sure": every other row is worse than it. "not shown to be worse": some rows are worse, others are tied; the interval
   of its difference to the best row says how much it may cost. "cannot tell": the part has fewer than 30 examples, a
   comparison has one seed of a row that the seed changes, no row is worse than another, or the row is not better than
   a constant guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sparsebench.reports.statistics import Difference, Side, difference, pair

Sureness = Literal["sure", "not shown to be worse", "cannot tell"]
SAME_PRICE = 1.1
"""Times the lowest price up to which a row counts as equally cheap: two heads on one network differ by less."""
UNTESTED = ("one seed", "not comparable")
"""Outcomes where no test was made: such a row is not shown to be worse, nor to be as good."""
LEAST_EXAMPLES = 30
"""Validation examples below which no interval is relied on: a fraction is known to ±18 points there."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A row: its scores on the validation part by seed, and what an answer costs (operations)."""

    label: str
    backbone: str
    role: str
    validation: Side
    price: float

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.label} · {self.backbone}"

    @property
    def rival(self) -> bool:
        """Whether it may be recommended: controls are there to be beaten."""
        return self.role in ("method", "baseline")

    @property
    def mean(self) -> float:
        """Over seeds."""
        values = [score.value for score in self.validation.scores.values()]
        return sum(values) / len(values)


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The chosen row, the best one by validation score, and the chosen row's difference to it and to every other row.

    Differences are positive where the chosen row is better, and corrected for all pairs.
    """

    chosen: Candidate
    best: Candidate
    tied: tuple[Candidate, ...]
    differences: dict[str, Difference]
    sureness: Sureness
    reason: str
    examples: int
    lacks_seeds: bool
    """Whether more seeds would tell more; else more examples would, where it cannot be told."""

    @property
    def to_best(self) -> Difference | None:
        """Chosen minus best; None where they are one row."""
        return self.differences.get(self.best.name)

    @property
    def by_price(self) -> str:
        """What it is among the tied rows, in words."""
        return _by_price(self.chosen, self.tied)


def recommend(candidates: Sequence[Candidate], higher_is_better: bool, examples: int) -> Recommendation:
    """Choose a row.

    Args:
        candidates: rows with a score for each planned seed; at least one may be recommended.
        higher_is_better: whether a larger score is a better one.
        examples: how many the validation part has.

    Returns:
        The choice.

    Raises:
        ValueError: no row that may be recommended.
    """
    rivals = [one for one in candidates if one.rival]
    if not rivals:
        raise ValueError("no row has a score that could be recommended")
    best = _best(rivals, higher_is_better)
    pairs = max(1, len(candidates) * (len(candidates) - 1) // 2)

    def minus(ours: Candidate, theirs: Candidate) -> Difference:
        return difference([pair(ours.validation, theirs.validation)], higher_is_better).corrected(pairs)

    tied = tuple(one for one in rivals if one is best or minus(one, best).outcome not in ("worse", *UNTESTED))
    lowest = min(one.price for one in tied)
    chosen = _best([one for one in tied if one.price <= SAME_PRICE * lowest], higher_is_better)
    differences = {other.name: minus(chosen, other) for other in candidates if other is not chosen}
    controls = [one for one in candidates if one.role == "control"]
    untested = [one for one in rivals if one is not chosen and differences[one.name].outcome in UNTESTED]
    sureness, reason = _sureness(chosen, tied, rivals, controls, differences, examples)
    lacks_seeds = bool(untested) and examples >= LEAST_EXAMPLES
    if lacks_seeds:
        sureness = "cannot tell"
        reason = (
            f"no test for {len(untested)} of {len(rivals) - 1} comparisons: one seed of a row says nothing of the next"
        )
    return Recommendation(
        chosen=chosen,
        best=best,
        tied=tied,
        differences=differences,
        sureness=sureness,
        reason=reason,
        examples=examples,
        lacks_seeds=lacks_seeds,
    )


def _best(candidates: Sequence[Candidate], higher_is_better: bool) -> Candidate:
    """By the mean score, the cheaper of two equal ones."""
    sign = 1 if higher_is_better else -1
    return max(candidates, key=lambda one: (sign * one.mean, -one.price))


def _sureness(
    chosen: Candidate,
    tied: Sequence[Candidate],
    rivals: Sequence[Candidate],
    controls: Sequence[Candidate],
    differences: dict[str, Difference],
    examples: int,
) -> tuple[Sureness, str]:
    if examples < LEAST_EXAMPLES:
        needed = f"{examples} validation examples, and {LEAST_EXAMPLES} are needed to tell rows apart at all"
        return "cannot tell", needed
    for control in controls:
        if differences[control.name].outcome != "better":
            return "cannot tell", f"it is not shown to be better than {control.label}, which never looks at an example"
    if len(rivals) == 1:
        return "cannot tell", "there is no other row to compare it with"
    others = [one for one in rivals if one is not chosen]
    if all(differences[one.name].outcome == "better" for one in others):
        return "sure", f"it is better than each of the {len(others)} other rows"
    if len(tied) == len(rivals):
        return "cannot tell", f"none of the {len(rivals)} rows is shown to be worse than the best"
    among = f"of {len(tied)} rows that are not shown to be worse than the best, it is {_by_price(chosen, tied)}"
    return "not shown to be worse", among


def _by_price(chosen: Candidate, tied: Sequence[Candidate]) -> str:
    if chosen.price <= min(one.price for one in tied):
        return "cheapest"
    return "the best of the cheapest, whose prices differ by a tenth at most"
