"""What the records say of one claim at one look: its steps, as differences that are ruled on at any level.

An interval decides (`Claim.ruling`). The steps of a claim are corrected for each other by Holm's procedure: one of k
steps is enough for "fails". A claim holds if all of its steps do; one that fails makes it fail, one that is undecided
leaves it so, and among steps that hold a negligible one makes it negligible.

That there is a difference and that there is none that counts are two families, each with a Holm procedure of its own.
In one family a step that is rightly found to be negligible would raise the level at which the others are found to
differ, those among them that the seeds have carried away by chance: in up to 30 % of the draws of twenty equal rows one
then differs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import NamedTuple

from ...records.example_files import ExampleReader
from ...records.index.slim import Whole, already_whole
from ...records.record import Record
from ...records.record_limits import RecordError
from ...statistics import Difference, Pairing, difference, holm, level_at, pair
from ..dataframe import canonical
from .claim import Claim, ClaimVerdict
from .sides import at_each_step, curve_of, side

MIN_SEEDS = 3


@dataclass(frozen=True)
class Compared:
    """One step: the difference of its rows, all of it and by task; None where there is none, for the `reason`.

    `at`: at which point of a curve, in words.
    """

    first: str
    second: str
    found: Difference | None
    by_task: tuple[tuple[str, Difference], ...] = ()
    seeds: int = 0
    reason: str = ""
    at: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether an interval of enough seeds can decide anything."""
        return self.found is not None and self.seeds >= MIN_SEEDS and self.found.combined.covers != "none"

    def ruling(self, claim: Claim, alpha: float) -> ClaimVerdict:
        """What the interval of level 1 - alpha says."""
        if self.found is None or not self.has_interval:
            return "undecided"
        effect = self.found.combined.estimate(alpha)
        if effect.low is None or effect.high is None:
            return "undecided"
        return claim.ruling(effect.low, effect.high)


class Ruling(NamedTuple):
    """What is said of a step by its interval of level 1 - `alpha`.

    A decided step has the level at which it fell in Holm's procedure, so that its interval says what its verdict says;
    an open one has Bonferroni's, the first that it had to pass.
    """

    verdict: ClaimVerdict
    alpha: float


@dataclass(frozen=True)
class Evidence:
    """A claim, its steps at a look (-1: before the first was complete), and why the instrument fails, if it does."""

    claim: Claim
    steps: tuple[Compared, ...]
    look: int = 0
    broken: str = ""

    @property
    def tested(self) -> bool:
        """Whether the claim is one of those that a study corrects for."""
        return not self.broken and (bool(self.claim.looks) or any(step.has_interval for step in self.steps))

    def level(self, alpha: float) -> float:
        """What this look may spend of `alpha`."""
        return level_at(self.claim.looks, max(0, self.look), alpha)

    def rulings(self, alpha: float) -> list[Ruling]:
        """What is said of each step, corrected over the steps and looks so that all hold at level 1 - alpha."""
        found = [Ruling("undecided", self.level(alpha) / len(self.steps))] * len(self.steps)
        for same in (False, True):  # a small difference that is sure is negligible all the same

            def falls(step: Compared, level: float, same: bool = same) -> bool:
                return self.claim.decides(step.ruling(self.claim, level), same)

            for number, level in holm([partial(falls, step) for step in self.steps], self.level(alpha)).items():
                if self.look >= 0:
                    found[number] = Ruling(self.steps[number].ruling(self.claim, level), level)
        return found

    def verdict(self, alpha: float) -> ClaimVerdict:
        """What is said of the claim, at level 1 - alpha."""
        found = [ruling.verdict for ruling in self.rulings(alpha)]
        for verdict in ("fails", "undecided", "negligible"):
            if verdict in found:
                return verdict
        return "holds"


def gather(
    claim: Claim, records: Sequence[Record], examples: ExampleReader | None, look: int, whole: Whole = already_whole
) -> Evidence:
    """The steps of a claim at a look; where not all of its cells have ended, at the last one that is complete.

    Args:
        claim: the claim; none of its checks is made here.
        records: all of the study.
        examples: reads the per-example outcomes of the records.
        look: the number of the look, from 0.
        whole: gives a record with its curves, for claims about them.
    """
    concerned = [record for record in records if concerns(claim, record)]
    if claim.looks:
        look = min(look, len(claim.looks) - 1)
        while look >= 0 and not _complete(claim, concerned, claim.looks[look]):
            look -= 1
        concerned = first_seeds(concerned, claim.looks[max(0, look)])
    if claim.throughout:
        concerned = [replace(whole(record), seeds=record.seeds) for record in concerned]
        steps = tuple(step for pair in claim.pairs for step in _along(claim, *pair, concerned))
    else:
        steps = tuple(_compare(claim, *pair, concerned, examples) for pair in claim.pairs)
    if look < 0:
        steps = tuple(replace(step, reason=f"not all of {claim.looks[0]} seeds have been run") for step in steps)
    return Evidence(claim, steps, look)


def concerns(claim: Claim, record: Record) -> bool:
    """Whether the record is of a row of the claim, or of one that it counts from, on a task of it; failed ones, too."""
    return is_of(claim, record, claim.all_rows, claim.tasks)


def is_of(claim: Claim, record: Record, rows: Collection[str], tasks: Collection[str]) -> bool:
    """Whether the record is of one of the rows and tasks, on the backbone of the claim and under its budget.

    Args:
        claim: says the suite, the backbone and the budget.
        record: of any cell.
        rows: labels.
        tasks: their names.

    Returns:
        Whether it is, well or not.
    """
    cell = record.cell
    if cell.suite != claim.suite or cell.task not in tasks or cell.label not in rows:
        return False
    # As JSON: a plan's (1, 2) is a list in a record.
    budget = all(canonical(cell.budget.get(key)) == canonical(value) for key, value in claim.budget.items())
    return budget and claim.backbone in ("", cell.backbone)


def _complete(claim: Claim, records: Sequence[Record], seeds: int) -> bool:
    """Whether the first seeds of every row and task have ended, well or not; the only one of a deterministic row."""
    known: dict[tuple[str, str], set[int]] = {}
    fixed: set[tuple[str, str]] = set()
    for record in records:
        place = (record.cell.label, record.cell.task)
        known.setdefault(place, set()).add(record.cell.seed)
        if record.seeds.get("stochastic") == 0 or record.status == "n/a":
            fixed.add(place)
    wanted = {place: 1 if place in fixed else seeds for place in product(claim.all_rows, claim.tasks)}
    return all(known.get(place, set()) >= set(range(count)) for place, count in wanted.items())


def first_seeds(records: Sequence[Record], seeds: int) -> list[Record]:
    """The records of the first seeds, of which no more are planned then."""
    found = []
    for record in records:
        if record.cell.seed < seeds:
            planned = min(seeds, record.seeds.get("planned", seeds))
            found.append(replace(record, seeds={**record.seeds, "planned": planned}))
    return found


def _along(claim: Claim, first: str, second: str, records: Sequence[Record]) -> list[Compared]:
    """The comparison at each point of the claim's curve. Nothing is known there of the test examples."""
    rows = {first, second, *(claim.base[row] for row in (first, second) if row in claim.base)}
    of_pair = [record for record in records if record.cell.label in rows]
    try:
        by_step = at_each_step(of_pair, claim.metric)
    except LookupError as error:
        return [Compared(first, second, None, reason=str(error.args[0]))]
    found = []
    for step, members in by_step.items():
        found.append(replace(_compare(claim, first, second, members, None), at=f"after {step:g} steps"))
    scored = [record for record in of_pair if record.status == "ok"]
    points = {step for record in scored for step, _ in curve_of(record, claim.metric)}
    if len(points) > len(by_step):  # then "at every point" cannot be said
        reason = f"{len(points) - len(by_step)} of {len(points)} points of the curve are not of every record"
        found.append(Compared(first, second, None, reason=reason))
    return found


def _compare(
    claim: Claim, first: str, second: str, records: Sequence[Record], examples: ExampleReader | None
) -> Compared:
    try:
        pairings = _pairings(claim, first, second, records, examples)
    except (LookupError, RecordError) as error:
        return Compared(first, second, None, reason=str(error.args[0]))
    seeds = min(len(pairing.pairs) for pairing in pairings)
    if not seeds:
        return Compared(first, second, None, reason=f"no {claim.unit[:-1]} with a score on both sides")
    found = difference(pairings)
    by_task = ()
    if len(pairings) > 1:
        alone = [difference([pairing]) for pairing in pairings]
        by_task = tuple(zip(claim.tasks, alone, strict=True))
    reasons = []
    if seeds < MIN_SEEDS:
        reasons.append(f"fewer than {MIN_SEEDS} {claim.unit}")
    if found.lost:
        reasons.append(f"{found.lost} of {found.pairs + found.lost} pairs lost")
    if found.reason:
        reasons.append(found.reason)
    return Compared(first, second, found, by_task, seeds, ", ".join(reasons))


def _pairings(
    claim: Claim, first: str, second: str, records: Sequence[Record], examples: ExampleReader | None
) -> list[Pairing]:
    """The pairs on each task. Raises `LookupError` for a side without a score, `RecordError` for a doubled seed."""
    pairings = []
    metrics = (claim.metric, claim.against or claim.metric)
    for task in claim.tasks:
        ours, theirs = (
            side(claim, label, metric, task, records, examples)
            for label, metric in zip((first, second), metrics, strict=True)
        )
        pairings.append(pair(ours, theirs))
    return pairings
