"""A study in words: what each claim expects, what was found, and the document `claims.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from .. import formatting
from ..dataframe import canonical
from .judging import VERDICTS, Claim, Finding, Step

STANDS = " ✓"
"""Behind a verdict that stands when it is corrected over the study."""


def effects(finding: Finding) -> Iterator[str]:
    """Each step in words."""
    for step in finding.steps:
        yield step_in_words(finding, step)


def step_in_words(finding: Finding, step: Step) -> str:
    """ "A − B: −0.41 [−0.45, −0.37] bits/byte over seeds and examples"."""
    first, second = _named(finding.claim, step.first, step.second)
    if step.second in finding.controls:
        second += " (control)"
    if step.effect is None:
        return f"{first} − {second}: {step.reason}"
    unit = formatting.points(finding.unit)
    text = f"{first} − {second}: {formatting.interval(step.effect, finding.unit)} {unit}".rstrip()
    if step.effect.covers != "none":
        text += f" over {step.effect.covers}"
    if step.reason:
        text += f" ({step.reason})"
    return text


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
    if claim.relation == "first" or claim.against:  # not a chain: its pairs do not follow from one another
        words = "; ".join(f" {sign} ".join(_named(claim, *pair)) for pair in claim.pairs)
    if not claim.against:
        words += f" in {claim.metric}"
    if claim.margin:
        words += f", margin {claim.margin:g}"
    return words


def where(claim: Claim) -> str:
    """Where a claim is tested, in words: the backbone, unless the rows name it, the tasks and what the budget is."""
    budget = [f"{key} {canonical(value)}" for key, value in claim.budget.items()]
    return ", ".join(filter(None, (claim.backbone, *claim.tasks, *budget)))


def verdict_of(finding: Finding) -> str:
    """The verdict, with a mark where it stands when it is corrected over the study."""
    return f"{finding.verdict}{mark(finding)}"


def mark(finding: Finding) -> str:
    """What stands behind the verdict, or the name of the claim."""
    return STANDS if finding.stands else ""


def to_markdown(findings: Sequence[Finding], notes: Sequence[str] = (), objection: str = "") -> str:
    """The study as a document: the counts, one row per claim, and what the columns mean.

    Args:
        findings: what the records say of each claim.
        notes: what a reader must know of the records (their code, their commits).
        objection: what the set-up of the study is objected to for.

    Returns:
        Markdown.
    """
    lines = ["# Claims", ""]
    if objection:  # before any verdict: who reads no further has read it
        lines += [f"**{objection}**", ""]
    lines += [count_verdicts(findings), "", f"Machine: {_machines(findings)}.", ""]
    for note in filter(None, notes):
        lines += [f"{note}.", ""]
    titles = ("claim", "statement", "source", "tested as", "verdict", "effect [95 %]", "seeds", "wall time")
    lines += [formatting.markdown_row(titles), formatting.markdown_row(["---"] * 6 + ["---:"] * 2)]
    for finding in findings:
        claim = finding.claim
        tested = f"{expectation(claim)}; {where(claim)}"
        statement = claim.statement
        if claim.note:
            statement += f" ({claim.note})"
        shown = (claim.id, statement, claim.source, tested, verdict_of(finding), "<br>".join(effects(finding)))
        lines.append(formatting.markdown_row([*shown, str(finding.seeds), formatting.duration(finding.seconds)]))
    return "\n".join([*lines, "", LEGEND]) + "\n"


LEGEND = (
    "Effects are differences of the mean scores, paired by seed and, where the outcomes of the examples were kept, by "
    "test example, with 95 % intervals that hold together for all comparisons of a claim (Bonferroni); each says "
    "whether it covers seeds and examples or one of them alone. Reproduced: every interval lies where the claim says; "
    "refuted: one lies on the other side; undecided: neither. ✓: the verdict stands when it is corrected over all "
    "claims of the study that were tested (Holm). Wall time is inside the cells behind a claim; claims share cells."
)


def count_verdicts(findings: Sequence[Finding]) -> str:
    """Both counts, claims of papers and our own apart.

    "12 claims of papers: 9 reproduced, 1 refuted, 2 undecided (corrected over the study: 5 reproduced, 0 refuted); 1 of
    our own: ...".
    """
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
    standing = Counter(finding.verdict for finding in findings if finding.stands)
    told = []
    stand = []
    for verdict in VERDICTS:
        if counts[verdict]:
            told.append(f"{counts[verdict]} {verdict}")
            if verdict != "undecided":  # which is what a verdict becomes that does not stand
                stand.append(f"{standing[verdict]} {verdict}")
    if not stand:
        return ", ".join(told)
    return f"{', '.join(told)} (corrected over the study: {', '.join(stand)})"


def _machines(findings: Sequence[Finding]) -> str:
    names: dict[str, None] = {}
    for finding in findings:
        names |= dict.fromkeys(finding.machines)
    return "; ".join(names) or "nothing was run"
