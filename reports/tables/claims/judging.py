"""Claims of a study, judged by the records: holds, fails, negligible, undecided or not testable here.

The interval of each step decides, which covers seeds and test examples (documents, where they were cut from such) where
these are known. "Negligible" is a test of equivalence: it lies within the smallest effect of interest that the claim
states, on both sides. A claim is undecided with fewer than `MIN_SEEDS` seeds, with a row that was not run, or with two
records of one seed. It is not testable here, whatever the intervals say, where a check of its instrument fails.

A study has many claims: of twenty about rows that are all alike, one is decided in most draws. So each verdict also
says whether it stands when it is corrected over all claims of the study that were tested (Holm): `Finding.stands`. A
study then has a false difference in at most 5 % of the draws, and a false "negligible" in at most 2.5 %, two families.

Where a study adds seeds by need, a claim is judged at each look at the level that the look may spend
(`statistics.levels`), and the first look at which its verdict stands is its last: what its rows have in further seeds,
because other claims needed them, changes it no more. What has fallen in Holm's procedure hangs on nothing but what fell
before it, so later looks of other claims leave it as it is.

A claim that the rest of its budget has hardly a chance of deciding gets no further seeds (`Finding.is_given_up`). To
stop early without a verdict makes no false one, and costs little power: `tests/reports/statistics` simulates it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ...records.example_files import ExampleReader
from ...records.index.slim import Whole, already_whole
from ...records.record import Record
from ...statistics import ALPHA, Estimate, chance_to_settle, holm, level_at, seeds_to_settle
from ..matrix import processor_type
from .checks import failure
from .claim import DECIDED, Claim, ClaimVerdict
from .evidence import Compared, Evidence, Ruling, concerns, first_seeds, gather

HOPELESS = 0.2
"""A step with a smaller chance of being decided within the budget is given up."""
Roles = Mapping[str, Mapping[str, str]]
"""Suite to row label to role."""


@dataclass(frozen=True)
class Step:
    """One pair: `effect` is the first row's score minus the second's, None where there is none.

    `by_task` has the effect on each task where the tasks lie on different sides of what the claim says. `needed` is how
    many seeds would settle an undecided step, infinite where no number would, `chance` how likely its budget is to
    decide it; None where nobody can say.
    """

    compared: Compared
    effect: Estimate | None
    verdict: ClaimVerdict
    by_task: tuple[tuple[str, Estimate], ...] = ()
    needed: float | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Finding:
    """A claim and what the records say of it; `seconds` were spent inside the cells behind it.

    `stands`: whether the verdict holds when it is corrected over all claims of the study. `reason`: why it is not
    testable. `look`: the number of the look that it is judged at, from 0. `controls` are those of its rows that are
    there as controls.
    """

    claim: Claim
    verdict: ClaimVerdict
    steps: tuple[Step, ...]
    unit: str
    seconds: float
    machines: tuple[str, ...]
    stands: bool = False
    reason: str = ""
    look: int = 0
    controls: frozenset[str] = frozenset()

    @property
    def seeds(self) -> int:
        """Seeds of the step that has the fewest."""
        return min(step.compared.seeds for step in self.steps)

    @property
    def is_open(self) -> bool:
        """Whether it gets more seeds: nothing stands yet, and what its budget has left may decide it."""
        return self._has_budget and not self.is_given_up

    @property
    def is_given_up(self) -> bool:
        """Whether its budget is not used up, but has hardly a chance of deciding any of its open steps."""
        chances = [step.chance for step in self.steps if step.verdict == "undecided"]
        known = [chance for chance in chances if chance is not None]
        if not self._has_budget or self.verdict != "undecided" or len(known) < len(chances):
            return False
        return max(known) < HOPELESS

    @property
    def _has_budget(self) -> bool:
        if self.stands or self.verdict == "not testable here" or self.look >= len(self.claim.looks) - 1:
            return False
        return self.look < 0 or all(step.effect is not None for step in self.steps)

    @property
    def needed(self) -> float | None:
        """How many seeds would settle it; infinite where no number would, None where nobody can say."""
        open_steps = [step.needed for step in self.steps if step.verdict == "undecided"]
        known = [needed for needed in open_steps if needed is not None]
        if self.verdict != "undecided" or len(known) < len(open_steps):
            return None
        return max(known, default=None)


def judge(
    claims: Sequence[Claim],
    records: Sequence[Record],
    examples: ExampleReader | None = None,
    roles: Roles | None = None,
    whole: Whole = already_whole,
) -> list[Finding]:
    """One finding per claim of a study, in their order.

    Args:
        claims: all claims of the study, since its verdicts are corrected over them.
        records: those of the study.
        examples: reads the per-example outcomes of the records.
        roles: suite to row label to what the row is there for, where the plan says it.
        whole: gives a record with its details, for checks that need them.
    """
    found: dict[int, Evidence] = {}
    standing: set[int] = set()
    for look in range(max([1, *(len(claim.looks) for claim in claims)])):
        for number, claim in enumerate(claims):
            if number not in standing and look < max(1, len(claim.looks)):
                found[number] = _checked(gather(claim, records, examples, look, whole), records, examples, whole)
        standing = _standing(found)
    findings = []
    for number, claim in enumerate(claims):
        known = (roles or {}).get(claim.suite, {})
        controls = frozenset(label for label in claim.rows if known.get(label) == "control")
        finding = _finding(found[number], [record for record in records if concerns(claim, record)])
        findings.append(replace(finding, stands=number in standing, controls=controls))
    return findings


def _checked(evidence: Evidence, records: Sequence[Record], examples: ExampleReader | None, whole: Whole) -> Evidence:
    """With the first of its checks that fails; a null row says nothing of a claim that fails."""

    def verdict(claim: Claim) -> ClaimVerdict | None:
        found = gather(claim, records, examples, evidence.look, whole)
        if found.look < evidence.look:
            # A null row with fewer seeds than the claim is judged by those that it has, at the full level: the level of
            # an early look is so strict that a claim would pass for want of seeds.
            of_look = first_seeds(records, claim.looks[evidence.look])
            found = gather(replace(claim, looks=()), of_look, examples, 0, whole)
        if evidence.verdict(ALPHA) == "holds" and not all(step.has_interval for step in found.steps):
            return None
        return found.verdict(ALPHA)

    for check in evidence.claim.checks:
        if check.kind == "null row" and evidence.verdict(ALPHA) == "fails":
            continue
        broken = failure(check, evidence.claim, records, whole, verdict)
        if broken:
            return replace(evidence, broken=broken)
    return evidence


def _standing(found: Mapping[int, Evidence]) -> set[int]:
    """The claims whose verdicts stand when they are corrected over all that were tested."""
    tested = [(number, evidence) for number, evidence in found.items() if evidence.tested]
    standing = set()
    for same in (False, True):

        def falls(evidence: Evidence, level: float, same: bool = same) -> bool:
            return evidence.claim.decides(evidence.verdict(level), same)

        fallen = holm([partial(falls, evidence) for _, evidence in tested], ALPHA)
        for place, level in fallen.items():
            number, evidence = tested[place]
            # What holds by the wider interval may be negligible by the narrower one that is shown.
            if evidence.verdict(level) == evidence.verdict(ALPHA):
                standing.add(number)
    return standing


def _finding(evidence: Evidence, records: Sequence[Record]) -> Finding:
    claim = evidence.claim
    scored = [record for record in records if record.status == "ok"]
    if not claim.throughout:
        scored = [record for record in scored if claim.metric in record.metrics]
    verdict: ClaimVerdict = "not testable here" if evidence.broken else evidence.verdict(ALPHA)
    rulings = evidence.rulings(ALPHA)
    return Finding(
        claim=claim,
        verdict=verdict,
        steps=tuple(_step(evidence, step, ruling) for step, ruling in zip(evidence.steps, rulings, strict=True)),
        unit=scored[0].metrics[claim.metric].unit if scored and not claim.throughout else "",
        seconds=math.fsum(record.times.get("total", 0.0) for record in scored),
        machines=tuple(dict.fromkeys(map(_machine, scored))),
        reason=evidence.broken,
        look=evidence.look,
    )


def _step(evidence: Evidence, step: Compared, ruling: Ruling) -> Step:
    verdict, alpha = ruling
    if step.found is None:
        return Step(step, None, verdict)
    effect = step.found.combined.estimate(alpha)
    by_task = tuple((task, one.combined.estimate(alpha)) for task, one in step.by_task)
    if len({evidence.claim.ahead(one.mean) > 0 for _, one in by_task}) < 2:
        by_task = ()
    needed = None
    chance = None
    if verdict == "undecided" and not evidence.broken:
        needed = _needed(evidence, step, alpha)
        chance = _chance(evidence, step)
    return Step(step, effect, verdict, by_task, needed, chance)


def _needed(evidence: Evidence, step: Compared, alpha: float) -> float | None:
    """How many seeds would settle a step, by the spread of those that there are; None where that is not known."""
    smallest = evidence.claim.smallest
    if smallest is None or step.found is None or step.seeds < 2 or not step.has_interval:
        return None
    combined = step.found.combined
    if combined.covers == "examples":
        return math.inf
    return seeds_to_settle(combined.parts, step.seeds, smallest, alpha)


def _chance(evidence: Evidence, step: Compared) -> float | None:
    """How likely the whole budget is to decide a step, at the level of the last look; None where that is not known."""
    claim = evidence.claim
    if not claim.looks or evidence.look < 0 or step.found is None or not step.has_interval:
        return None
    combined = step.found.combined
    if combined.covers == "examples":
        return None
    alpha = level_at(claim.looks, len(claim.looks) - 1, ALPHA) / len(evidence.steps)

    def decides(low: float, high: float) -> bool:
        return claim.ruling(low, high) in DECIDED

    return chance_to_settle(combined.mean, combined.parts, step.seeds, claim.looks[-1], alpha, decides)


def _machine(record: Record) -> str:
    environment = record.environment
    return f"{processor_type(record)}, {environment.get('cores', '?')} cores"
