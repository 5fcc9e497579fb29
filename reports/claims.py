"""Published claims, declared as data and judged by the records: reproduced, refuted or undecided.

A claim names rows in the order that it expects. Each neighbouring pair is a paired comparison over tasks and seeds
(`statistics.difference`), and its 95 % interval decides, which covers seeds and test examples where these are known:

- "ordered": a row's score is lower (or higher: `direction`) than the next one's by more than `margin`. Reproduced if
  every interval lies beyond the margin, refuted if one lies on its other side.
- "first": as "ordered", but of the first row beside each of the others, which are not compared with each other.
- "equal": neighbours differ by less than `margin`. Reproduced if every interval lies within, refuted if one lies
  outside.

With `against` the second row of a pair has its score in another metric of the same unit; so one row can be compared
with itself (its best epoch and its last one).

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
from .matrix import processor_type, side_of
from .record import Record
from .statistics import Estimate, Side, difference, pair
from .statistics.example_files import ExampleReader

ClaimVerdict = Literal["reproduced", "refuted", "undecided"]
VERDICTS: tuple[ClaimVerdict, ...] = ("reproduced", "refuted", "undecided")
MIN_SEEDS = 3
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


def judge(claims: Sequence[Claim], records: Sequence[Record], examples: ExampleReader | None = None) -> list[Finding]:
    """One finding per claim, in their order; `examples` reads the per-example outcomes of the records."""
    findings = []
    for claim in claims:
        concerned = [record for record in records if _concerns(claim, record)]
        findings.append(_judge(claim, concerned, examples))
    return findings


def _concerns(claim: Claim, record: Record) -> bool:
    """Whether the record is of one of the claim's rows on one of its tasks; failed ones count, too."""
    cell = record.cell
    place = cell.suite == claim.suite and claim.backbone in ("", cell.backbone)
    return place and cell.task in claim.tasks and cell.label in claim.rows


def _judge(claim: Claim, records: Sequence[Record], examples: ExampleReader | None) -> Finding:
    steps = tuple(_step(claim, first, second, records, examples) for first, second in claim.pairs)
    scored = [record for record in records if record.status == "ok" and claim.metric in record.metrics]
    return Finding(
        claim=claim,
        verdict=_of_all({step.verdict for step in steps}),
        steps=steps,
        unit=scored[0].metrics[claim.metric].unit if scored else "",
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
    pairings = []
    for task in claim.tasks:
        metrics = (claim.metric, claim.against or claim.metric)
        sides = []
        for label, metric in zip((first, second), metrics, strict=True):
            side = _side(task, label, metric, records, examples)
            if not side.scores:
                return Step(first, second, None, 0, "undecided", f"{label} has no score on {task}")
            sides.append(side)
        pairings.append(pair(*sides))
    seeds = min(len(pairing.pairs) for pairing in pairings)
    if not seeds:
        return Step(first, second, None, 0, "undecided", "no seed with a score on both sides")
    found = difference(pairings)
    effect = found.estimate
    lost = f"{found.lost} of {found.pairs + found.lost} pairs lost" if found.lost else ""
    if seeds < MIN_SEEDS:
        reason = ", ".join(filter(None, (f"fewer than {MIN_SEEDS} seeds", lost)))
        return Step(first, second, effect, seeds, "undecided", reason)
    return Step(first, second, effect, seeds, _verdict(claim, effect), lost)


def _side(task: str, label: str, metric: str, records: Sequence[Record], examples: ExampleReader | None) -> Side:
    """One row on one task, by one metric."""
    of_row = [record for record in records if record.cell.task == task and record.cell.label == label]
    return side_of(of_row, metric, examples)


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
    return f"{processor_type(record)}, {environment.get('cores', '?')} cores"


def effects(finding: Finding) -> Iterator[str]:
    """Each step in words: "A − B: −0.41 [−0.45, −0.37] bits/byte over seeds and examples"."""
    for step in finding.steps:
        first, second = _named(finding.claim, step.first, step.second)
        if step.effect is None:
            yield f"{first} − {second}: {step.reason}"
            continue
        unit = formatting.points(finding.unit)
        text = f"{first} − {second}: {formatting.interval(step.effect, finding.unit)} {unit}".rstrip()
        if step.effect.covers != "none":
            text += f" over {step.effect.covers}"
        yield text + (f" ({step.reason})" if step.reason else "")


def _named(claim: Claim, first: str, second: str) -> tuple[str, str]:
    """The rows of a pair, each with its metric where they differ in that."""
    if not claim.against:
        return first, second
    return f"{first} ({claim.metric})", f"{second} ({claim.against})"


def expectation(claim: Claim) -> str:
    """What the claim expects, in words: "A < B < C in bits_per_byte", "A < B; A < C in ..." of the first row."""
    sign = {"lower": "<", "higher": ">"}[claim.direction]
    if claim.relation == "equal":
        sign = "≈"
    words = f" {sign} ".join(claim.rows)
    if claim.relation == "first" or claim.against:
        words = "; ".join(f" {sign} ".join(_named(claim, *pair)) for pair in claim.pairs)
    if not claim.against:
        words = f"{words} in {claim.metric}"
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
    "Effects are differences of the mean scores, paired by seed and, where the outcomes of the examples were kept, by "
    "test example, with 95 % intervals; each says whether it covers seeds and examples or one of them alone. "
    "Reproduced: every interval lies where the claim says; refuted: one lies on the other side; undecided: neither. "
    "Intervals are per comparison, not corrected for their number. Wall time is inside the cells behind a claim; "
    "claims share cells."
)


def count_verdicts(findings: Sequence[Finding]) -> str:
    """ "12 claims of papers: 9 reproduced, 1 refuted, 2 undecided; 1 of our own: 1 refuted."."""
    published = [finding for finding in findings if finding.claim.published]
    own = [finding for finding in findings if not finding.claim.published]
    told = []
    if published:
        noun = "claim" if len(published) == 1 else "claims"
        told.append(f"{len(published)} {noun} of papers: {_counts(published)}")
    if own:
        told.append(f"{len(own)} of our own: {_counts(own)}")
    return "; ".join(told) + "."


def _counts(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.verdict for finding in findings)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _machines(findings: Sequence[Finding]) -> str:
    return "; ".join(dict.fromkeys(name for finding in findings for name in finding.machines)) or "nothing was run"


def _pipe(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
