"""Published claims, declared as data and judged by the records: reproduced, refuted or undecided.

A claim names rows in the order that it expects. Each neighbouring pair is a paired comparison over tasks and seeds
(`statistics.difference`), and its 95 % interval decides:

- "ordered": a row's score is lower (or higher: `direction`) than the next one's by more than `margin`. Reproduced if
  every interval lies beyond the margin, refuted if one lies on its other side.
- "equal": neighbours differ by less than `margin`. Reproduced if every interval lies within, refuted if one lies
  outside.

Anything else is undecided; so is a claim with fewer than `MIN_SEEDS` seeds, or with a row that was not run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from . import formatting
from .matrix import pairs
from .record import Record
from .statistics import Estimate, Score, difference

ClaimVerdict = Literal["reproduced", "refuted", "undecided"]
VERDICTS: tuple[ClaimVerdict, ...] = ("reproduced", "refuted", "undecided")
MIN_SEEDS = 3


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
    relation: Literal["ordered", "equal"] = "ordered"
    margin: float = 0.0
    backbone: str = ""
    """The backbone of all rows; empty where each row's label names it, since the claim is about backbones."""
    note: str = ""
    """What the reader must know of the test, for instance how it differs from the source's."""


@dataclass(frozen=True)
class Step:
    """One neighbouring pair: `effect` is the first row's score minus the second's, None where there is none."""

    first: str
    second: str
    effect: Estimate | None
    seeds: int
    verdict: ClaimVerdict
    reason: str = ""


@dataclass(frozen=True)
class Finding:
    """A claim and what the records say of it; `seconds` were spent inside the cells behind it."""

    claim: Claim
    verdict: ClaimVerdict
    steps: tuple[Step, ...]
    unit: str
    seconds: float
    machines: tuple[str, ...]

    @property
    def seeds(self) -> int:
        """Seeds of the step that has the fewest."""
        return min(step.seeds for step in self.steps)


def judge(claims: Sequence[Claim], records: Sequence[Record]) -> list[Finding]:
    """One finding per claim, in their order."""
    findings = []
    for claim in claims:
        concerned = [record for record in records if _concerns(claim, record)]
        findings.append(_judge(claim, concerned))
    return findings


def _concerns(claim: Claim, record: Record) -> bool:
    """Whether the record has a score of one of the claim's rows on one of its tasks."""
    if record.status != "ok" or claim.metric not in record.metrics:
        return False
    cell = record.cell
    place = cell.suite == claim.suite and claim.backbone in ("", cell.backbone)
    return place and cell.task in claim.tasks and cell.label in claim.rows


def _judge(claim: Claim, records: Sequence[Record]) -> Finding:
    steps = tuple(_step(claim, first, second, records) for first, second in pairwise(claim.rows))
    return Finding(
        claim=claim,
        verdict=_of_all({step.verdict for step in steps}),
        steps=steps,
        unit=records[0].metrics[claim.metric].unit if records else "",
        seconds=math.fsum(record.times.get("total", 0.0) for record in records),
        machines=tuple(dict.fromkeys(map(_machine, records))),
    )


def _of_all(found: set[ClaimVerdict]) -> ClaimVerdict:
    """One refuted step refutes a claim, one undecided step leaves it undecided."""
    for verdict in ("refuted", "undecided"):
        if verdict in found:
            return verdict
    return "reproduced"


def _step(claim: Claim, first: str, second: str, records: Sequence[Record]) -> Step:
    pairings = []
    for task in claim.tasks:
        sides = [_scores(claim, task, label, records) for label in (first, second)]
        for label, side in zip((first, second), sides, strict=True):
            if not side:
                return Step(first, second, None, 0, "undecided", f"{label} has no score on {task}")
        pairings.append(pairs(*sides))
    seeds = min(map(len, pairings))
    if not seeds:
        return Step(first, second, None, 0, "undecided", "no seed with a score on both sides")
    effect = difference(pairings).estimate
    if seeds < MIN_SEEDS:
        return Step(first, second, effect, seeds, "undecided", f"fewer than {MIN_SEEDS} seeds")
    return Step(first, second, effect, seeds, _verdict(claim, effect))


def _scores(claim: Claim, task: str, label: str, records: Sequence[Record]) -> dict[int, Score]:
    """Seed to score of one row on one task."""
    scores = {}
    for record in records:
        if record.cell.task == task and record.cell.label == label:
            metric = record.metrics[claim.metric]
            scores[record.cell.seed] = Score(metric.value, metric.stderr)
    return scores


def _verdict(claim: Claim, effect: Estimate) -> ClaimVerdict:
    if effect.low is None or effect.high is None:
        return "undecided"
    if claim.relation == "equal":
        if -claim.margin < effect.low and effect.high < claim.margin:
            return "reproduced"
        return "refuted" if effect.low > claim.margin or effect.high < -claim.margin else "undecided"
    low = effect.low
    high = effect.high
    if claim.direction == "lower":
        low, high = -high, -low
    if low > claim.margin:
        return "reproduced"
    return "refuted" if high < claim.margin else "undecided"


def _machine(record: Record) -> str:
    environment = record.environment
    return f"{environment.get('processor', 'unknown processor')}, {environment.get('cores', '?')} cores"


def effects(finding: Finding) -> Iterator[str]:
    """Each step in words: "A − B: −0.41 [−0.45, −0.37] bits/byte"."""
    for step in finding.steps:
        if step.effect is None:
            yield f"{step.first} − {step.second}: {step.reason}"
            continue
        unit = formatting.points(finding.unit)
        text = f"{step.first} − {step.second}: {formatting.interval(step.effect, finding.unit)} {unit}".rstrip()
        yield text + (f" ({step.reason})" if step.reason else "")


def expectation(claim: Claim) -> str:
    """What the claim expects, in words: "A < B < C in bits_per_byte"."""
    sign = {"lower": "<", "higher": ">"}[claim.direction]
    if claim.relation == "equal":
        sign = "≈"
    words = f"{f' {sign} '.join(claim.rows)} in {claim.metric}"
    return f"{words}, margin {claim.margin:g}" if claim.margin else words


def where(claim: Claim) -> str:
    """Where a claim is tested, in words: the backbone, unless the rows name it, and the tasks."""
    return ", ".join(filter(None, (claim.backbone, *claim.tasks)))


def to_markdown(findings: Sequence[Finding], older_code: str = "") -> str:
    """The study as a document: the counts, one row per claim, and what the columns mean.

    `older_code` says how many records the code has changed since.
    """
    lines = ["# Claims", "", count_verdicts(findings), "", f"Machine: {_machines(findings)}.", ""]
    if older_code:
        lines += [f"{older_code}.", ""]
    titles = ("claim", "statement", "source", "tested as", "verdict", "effect [95 %]", "seeds", "wall time")
    lines += [_pipe(titles), _pipe(["---"] * 6 + ["---:"] * 2)]
    for finding in findings:
        claim = finding.claim
        tested = f"{expectation(claim)}; {where(claim)}"
        statement = f"{claim.statement} ({claim.note})" if claim.note else claim.statement
        shown = (claim.id, statement, claim.source, tested, finding.verdict, "<br>".join(effects(finding)))
        lines.append(_pipe([*shown, str(finding.seeds), formatting.duration(finding.seconds)]))
    return "\n".join([*lines, "", LEGEND]) + "\n"


LEGEND = (
    "Effects are differences of the mean scores, paired by seed, with 95 % intervals over seeds. Reproduced: every "
    "interval lies where the claim says; refuted: one lies on the other side; undecided: neither. Intervals are per "
    "comparison, not corrected for their number. Wall time is inside the cells behind a claim; claims share cells."
)


def count_verdicts(findings: Sequence[Finding]) -> str:
    """ "12 claims: 9 reproduced, 1 refuted, 2 undecided."."""
    counts = Counter(finding.verdict for finding in findings)
    told = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    noun = "claim" if len(findings) == 1 else "claims"
    return f"{len(findings)} {noun}: {', '.join(told)}."


def _machines(findings: Sequence[Finding]) -> str:
    return "; ".join(dict.fromkeys(name for finding in findings for name in finding.machines)) or "nothing was run"


def _pipe(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
