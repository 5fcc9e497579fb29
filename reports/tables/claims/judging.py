"""Published claims, declared as data and judged by the records: reproduced, refuted or undecided.

A claim names rows in the order that it expects. Each neighbouring pair is a paired comparison over tasks and seeds
(`statistics.difference`), and its interval decides, which covers seeds and test examples where these are known. Since
one of k steps is enough to refute a claim, the intervals of its steps are corrected for k (Bonferroni), so that all of
them hold together in 95 % of the cases:

- "ordered": a row's score is lower (or higher: `direction`) than the next one's by more than `margin`. Reproduced if
  every interval lies beyond the margin, refuted if one lies on its other side.
- "first": as "ordered", but of the first row against each of the others, which are not compared with each other.
- "equal": neighbours differ by less than `margin`. Reproduced if every interval lies within, refuted if one lies
  outside.

With `against` the second row of a pair has its score in another metric of the same unit; so one row can be compared
with itself (its best epoch and its last one).

Anything else is undecided; so is a claim with fewer than `MIN_SEEDS` seeds, with a row that was not run, or with two
records of one seed.

A study has many claims: of twenty about rows that are all alike, one is decided in most draws. So each verdict also
says whether it stands when it is corrected over all claims of the study that were tested (Holm 1979): `Finding.stands`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

from ...records.example_files import ExampleReader
from ...records.record import Record
from ...records.record_limits import RecordError
from ...statistics import ALPHA, Difference, Estimate, Pairing, Side, difference, pair
from ..dataframe import canonical
from ..matrix import processor_type, side_of

ClaimVerdict = Literal["reproduced", "refuted", "undecided"]
VERDICTS: tuple[ClaimVerdict, ...] = ("reproduced", "refuted", "undecided")
MIN_SEEDS = 3
Roles = Mapping[str, Mapping[str, str]]
"""Suite to row label to role."""
OWN = "our "
"""How the source of a claim of ours began before claims had a field for it."""


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
    against: str = ""
    """Metric of the second row of each pair; empty where it is `metric`, too."""
    backbone: str = ""
    """The backbone of all rows; empty where each row's label names it, since the claim is about backbones."""
    budget: Mapping[str, Any] = field(default_factory=dict)
    """The budget of all rows, as far as it says which of several that a task stands under: {epochs: 20}."""
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
    def published(self) -> bool:
        """Whether a paper says it. Plans of earlier versions said "our ..." in the source alone."""
        return not self.ours and not self.source.startswith(OWN)


@dataclass(frozen=True)
class Step:
    """One neighbouring pair: `effect` is the first row's score minus the second's, None where there is none.

    `p` is the level at which the effect lies on one side of what the claim expects, corrected over the claim's steps,
    None where that was not tested; `side` says on which: "reproduced" or "refuted".
    """

    first: str
    second: str
    effect: Estimate | None
    seeds: int
    verdict: ClaimVerdict
    reason: str = ""
    p: float | None = None
    side: ClaimVerdict | None = None


@dataclass(frozen=True)
class Finding:
    """A claim and what the records say of it; `seconds` were spent inside the cells behind it.

    `stands`: whether the verdict holds when it is corrected over all claims of the study. `controls` are those of its
    rows that are there as controls.
    """

    claim: Claim
    verdict: ClaimVerdict
    steps: tuple[Step, ...]
    unit: str
    seconds: float
    machines: tuple[str, ...]
    stands: bool = False
    controls: frozenset[str] = frozenset()

    @property
    def p(self) -> float | None:
        """The level at which the claim would be decided: by one step against it, or by all of them for it.

        None where it was not tested: a claim that no number of examples could decide is none of those corrected for.
        """
        against = [step.p for step in self.steps if step.side == "refuted" and step.p is not None]
        if self.verdict == "refuted":
            return min(against)
        given = [step.p for step in self.steps if step.side == "reproduced" and step.p is not None]
        if len(given) + len(against) < len(self.steps):
            return None
        if against:
            return min(against)
        return max(given)

    @property
    def seeds(self) -> int:
        """Seeds of the step that has the fewest."""
        return min(step.seeds for step in self.steps)


def judge(
    claims: Sequence[Claim],
    records: Sequence[Record],
    examples: ExampleReader | None = None,
    roles: Roles | None = None,
) -> list[Finding]:
    """One finding per claim of a study, in their order.

    Args:
        claims: all claims of the study, since its verdicts are corrected over them.
        records: those of the study.
        examples: reads the per-example outcomes of the records.
        roles: suite to row label to what the row is there for, where the plan says it.
    """
    findings = []
    for claim in claims:
        concerned = [record for record in records if _concerns(claim, record)]
        known = (roles or {}).get(claim.suite, {})
        controls = frozenset(label for label in claim.rows if known.get(label) == "control")
        findings.append(replace(_judge(claim, concerned, examples), controls=controls))
    return _over_study(findings)


def _over_study(findings: Sequence[Finding]) -> list[Finding]:
    """Marks the verdicts that stand by Holm's procedure over all claims that were tested."""
    levels = [(finding.p, number) for number, finding in enumerate(findings)]
    tested = sorted((p, number) for p, number in levels if p is not None)
    standing: set[int] = set()
    for rank, (p, number) in enumerate(tested):
        # Holm steps down: behind the first that does not stand, none does, however small its own p is.
        if p * (len(tested) - rank) >= ALPHA:
            break
        standing.add(number)
    return [replace(finding, stands=number in standing) for number, finding in enumerate(findings)]


def _concerns(claim: Claim, record: Record) -> bool:
    """Whether the record is of one of the claim's rows on one of its tasks; failed ones count, too."""
    cell = record.cell
    if cell.suite != claim.suite or cell.task not in claim.tasks or cell.label not in claim.rows:
        return False
    # As JSON: a plan's (1, 2) is a list in a record.
    budget = all(canonical(cell.budget.get(key)) == canonical(value) for key, value in claim.budget.items())
    return budget and claim.backbone in ("", cell.backbone)


def _judge(claim: Claim, records: Sequence[Record], examples: ExampleReader | None) -> Finding:
    steps = tuple(_step(claim, first, second, records, examples) for first, second in claim.pairs)
    scored = [record for record in records if record.status == "ok" and claim.metric in record.metrics]
    unit = ""
    if scored:
        unit = scored[0].metrics[claim.metric].unit
    return Finding(
        claim=claim,
        verdict=_of_all({step.verdict for step in steps}),
        steps=steps,
        unit=unit,
        seconds=math.fsum(record.times.get("total", 0.0) for record in scored),
        machines=tuple(dict.fromkeys(map(_machine, scored))),
    )


def _of_all(found: set[ClaimVerdict]) -> ClaimVerdict:
    """One refuted step refutes a claim, one undecided step leaves it undecided."""
    for verdict in ("refuted", "undecided"):
        if verdict in found:
            return verdict
    return "reproduced"


def _step(claim: Claim, first: str, second: str, records: Sequence[Record], examples: ExampleReader | None) -> Step:
    try:
        pairings = _pairings(claim, first, second, records, examples)
    except (LookupError, RecordError) as error:
        return Step(first, second, None, 0, "undecided", str(error.args[0]))
    seeds = min(len(pairing.pairs) for pairing in pairings)
    if not seeds:
        return Step(first, second, None, 0, "undecided", "no seed with a score on both sides")
    found = difference(pairings).corrected(len(claim.pairs))
    reasons = []
    if seeds < MIN_SEEDS:
        reasons.append(f"fewer than {MIN_SEEDS} seeds")
    if found.lost:
        reasons.append(f"{found.lost} of {found.pairs + found.lost} pairs lost")
    if found.reason:
        reasons.append(found.reason)
    reason = ", ".join(reasons)
    if seeds < MIN_SEEDS:
        return Step(first, second, found.estimate, seeds, "undecided", reason)
    return Step(first, second, found.estimate, seeds, _verdict(claim, found.estimate), reason, *_level(claim, found))


def _pairings(
    claim: Claim, first: str, second: str, records: Sequence[Record], examples: ExampleReader | None
) -> list[Pairing]:
    """The pairs on each task. Raises `LookupError` for a side without a score, `RecordError` for a doubled seed."""
    pairings = []
    metrics = (claim.metric, claim.against or claim.metric)
    for task in claim.tasks:
        sides = []
        for label, metric in zip((first, second), metrics, strict=True):
            side = _side(task, label, metric, records, examples)
            if not side.scores:
                raise LookupError(f"{label} has no score on {task}")
            sides.append(side)
        pairings.append(pair(*sides))
    return pairings


def _side(task: str, label: str, metric: str, records: Sequence[Record], examples: ExampleReader | None) -> Side:
    """One row on one task, by one metric."""
    of_row = [record for record in records if record.cell.task == task and record.cell.label == label]
    return side_of(of_row, metric, examples)


def _verdict(claim: Claim, effect: Estimate) -> ClaimVerdict:
    if effect.low is None or effect.high is None:
        return "undecided"
    low = effect.low
    high = effect.high
    if claim.direction == "lower":  # turned round, so that above the margin is where the claim says
        low, high = -high, -low
    holds = low > claim.margin
    fails = high < claim.margin
    if claim.relation == "equal":
        holds = -claim.margin < low and high < claim.margin
        fails = low > claim.margin or high < -claim.margin
    if holds:
        return "reproduced"
    if fails:
        return "refuted"
    return "undecided"


def _level(claim: Claim, found: Difference) -> tuple[float | None, ClaimVerdict]:
    """At which level the interval leaves what the claim expects, or lies in it, and which of the two."""
    mean = found.combined.mean
    if claim.relation == "equal":
        if abs(mean) >= claim.margin:
            return found.p_beyond(math.copysign(claim.margin, mean)), "refuted"
        # Two one-sided tests: it lies within the margin if it is clear of both ends.
        ends = [found.p_beyond(claim.margin), found.p_beyond(-claim.margin)]
        return max((p for p in ends if p is not None), default=None), "reproduced"
    border = claim.margin
    ahead = mean - border
    if claim.direction == "lower":
        border = -claim.margin
        ahead = border - mean
    if ahead > 0:
        return found.p_beyond(border), "reproduced"
    return found.p_beyond(border), "refuted"


def _machine(record: Record) -> str:
    environment = record.environment
    return f"{processor_type(record)}, {environment.get('cores', '?')} cores"
