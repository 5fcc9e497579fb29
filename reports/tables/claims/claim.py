"""What somebody says, declared as data: the rows that it compares, the smallest effect that counts, its checks.

A claim names rows in the order that it expects. Each neighbouring pair is a step, a paired comparison over tasks and
seeds:

- "ordered": a row's score is lower (or higher: `direction`) than the next one's by more than `margin`.
- "first": as "ordered", but of the first row against each of the others, which are not compared with each other.
- "equal": neighbours differ by less than `margin`.

With `against` the second row of a pair has its score in another metric of the same unit; so one row can be compared
with itself (its best epoch and its last one). With `base` changes are compared, and not scores: what a row lies above
its own base ("a mixture loses less by this cut than its dense twin does").

With `trainings` the unit is a trained model, and not a seed: a row runs on several trainings of one backbone
(`net:0`, `net:1`, ...), its seeds on each are draws of calibration data, and the mean over them counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

ClaimVerdict = Literal["holds", "fails", "negligible", "undecided", "not testable here"]
VERDICTS: tuple[ClaimVerdict, ...] = ("holds", "fails", "negligible", "undecided", "not testable here")
DECIDED: tuple[ClaimVerdict, ...] = ("holds", "fails", "negligible")


@dataclass(frozen=True, kw_only=True)
class Check:
    """What must be so before a claim can be judged by the records at all; where it is not, the claim is not testable.

    Records count on the backbone of the claim, if it names one, and on its own tasks under its budget.

    - "routers": the mean entropy of a token's router softmax, over domains and layers, is `at_most` this fraction of
      the logarithm of the number of experts, in each of `rows` (none named: those of the claim that have routers).
    - "metric": the mean over seeds of `metric`, or of the last point of the curve of that name, is `at_least` and
      `at_most` so much in each of `rows` (none named: those of the claim that have it) on `task` (empty: on those of
      the claim).
    - "null row": a claim that holds does not hold with the one row of `rows` in the place of its first.
    - "stated": never so. What no record has, said by whoever declares the claim.

    Raises:
        ValueError: a check without what its kind needs.
    """

    kind: Literal["routers", "metric", "null row", "stated"]
    reason: str
    """What it means that the check fails, in words."""
    rows: tuple[str, ...] = ()
    task: str = ""
    metric: str = ""
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        bounds = [self.at_least, self.at_most]
        if not self.reason:
            raise ValueError(f"a check of the kind {self.kind!r} needs a reason")
        if self.kind == "routers" and (self.at_most is None or self.metric or self.at_least is not None):
            raise ValueError("a check of routers needs `at_most`, and no other bound or metric")
        if self.kind == "metric" and (not self.metric or bounds == [None, None]):
            raise ValueError("a check of a metric needs `metric`, and `at_least` or `at_most`")
        if self.kind == "null row" and len(self.rows) != 1:
            raise ValueError("a check of the kind 'null row' needs that row, one, in `rows`")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What somebody says, and the comparison that tests it. `rows` are labels, `margin` is in the metric's unit."""

    id: str
    statement: str
    source: str
    suite: str
    tasks: tuple[str, ...]
    metric: str
    rows: tuple[str, ...]
    direction: Literal["lower", "higher"]
    relation: Literal["ordered", "first", "equal"] = "ordered"
    margin: float = 0.0
    smallest_effect: float | None = None
    """An effect below it is negligible, in the metric's unit; None where nobody stated one (plans of before)."""
    smallest_reason: str = ""
    """Why so much."""
    throughout: bool = False
    """Whether `metric` is a curve that a training notes ("val loss"): rows are then compared at each of its points, and
    the claim is about all of them."""
    against: str = ""
    """Metric of the second row of each pair; empty where it is `metric`, too."""
    base: Mapping[str, str] = field(default_factory=dict)
    """Row to the row that its score is counted from, seed by seed; rows without one count as they are."""
    trainings: tuple[str, ...] = ()
    """The arguments of the backbones that rows run on, where the unit is a training; empty where it is a seed."""
    backbone: str = ""
    """The backbone of all rows; empty where each row's label names it, since the claim is about backbones."""
    budget: Mapping[str, Any] = field(default_factory=dict)
    """The budget of all rows, as far as it says which of several that a task stands under: {epochs: 20}."""
    place: str = ""
    """Where a verdict is meant to hold: "at 1 million parameters after 200,000 tokens"."""
    checks: tuple[Check, ...] = ()
    """What the instrument must do."""
    looks: tuple[int, ...] = ()
    """How many seeds there are at each look of a study that adds seeds by need; empty: one look with all there is."""
    note: str = ""
    """What the reader must know of the test, for instance how it differs from the source's."""
    ours: bool = False
    """Whether it is a statement of ours, and not of a paper; such claims are counted apart."""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The rows that are compared, the one that is expected to be ahead first."""
        if self.relation == "first":
            return tuple((self.rows[0], other) for other in self.rows[1:])
        return tuple(pairwise(self.rows))

    @property
    def all_rows(self) -> tuple[str, ...]:
        """The rows that are compared, and those that they are counted from."""
        return tuple(dict.fromkeys((*self.rows, *self.base.values())))

    @property
    def unit(self) -> str:
        """What intervals are over, in the plural."""
        return "trainings" if self.trainings else "seeds"

    @property
    def smallest(self) -> float | None:
        """The smallest effect that counts: where the claim allows for a difference, that is its margin."""
        if self.relation == "equal" or self.margin < 0:
            return abs(self.margin)
        return self.smallest_effect

    def decides(self, verdict: ClaimVerdict, same: bool) -> bool:
        """Whether a verdict says that there is no difference that counts (`same`), or that there is one."""
        says_same = verdict == "negligible" or (self.relation == "equal" and verdict == "holds")
        return verdict in DECIDED and says_same == same

    def ahead(self, effect: float) -> float:
        """By how much an effect, the first row minus the second, lies beyond the margin where the claim says."""
        if self.relation == "equal":
            return self.margin - abs(effect)
        if self.direction == "lower":
            effect = -effect
        return effect - self.margin

    def ruling(self, low: float, high: float) -> ClaimVerdict:
        """What an interval of the effect says.

        Args:
            low: its lower end, of the first row minus the second.
            high: its upper end.

        Returns:
            "negligible" where it lies within the smallest effect on both sides of no difference, which only a claim
            without a margin can be; else "holds" or "fails" where it lies on one side, "undecided" where on both.
        """
        ends = sorted((self.ahead(low), self.ahead(high)))
        if self.relation == "equal":
            if ends[0] > 0:
                return "holds"
            return "fails" if low > self.margin or high < -self.margin else "undecided"
        if self.smallest_effect is not None and self.margin == 0 and max(map(abs, ends)) < self.smallest_effect:
            return "negligible"
        if ends[0] > 0:
            return "holds"
        return "fails" if ends[1] < 0 else "undecided"
