"""A study in words: what each claim expects, what was found, and the document `claims.md`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from .. import formatting
from ..dataframe import canonical
from .claim import DECIDED, VERDICTS, Claim, ClaimVerdict
from .judging import HOPELESS, Finding, Step

VERBS: dict[ClaimVerdict, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "fails": ("fails", "fail"),
    "negligible": ("is negligible", "are negligible"),
    "undecided": ("is undecided", "are undecided"),
    "not testable here": ("is not testable here", "are not testable here"),
}
"""How one claim and several are said to have a verdict."""

WORDS = {3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}
"""Numbers of trainings, as sentences have them."""
STANDS = " ✓"
"""Behind a verdict that stands when it is corrected over the study."""


def effects(finding: Finding) -> Iterator[str]:
    """Each step in words."""
    for step in finding.steps:
        yield step_in_words(finding, step)


def step_in_short(finding: Finding, step: Step) -> str:
    """ "A − B: −0.41 [−0.45, −0.37] bits/byte"."""
    pair = step.compared
    first, second = _named(finding.claim, pair.first, pair.second)
    if pair.second in finding.controls:
        second += " (control)"
    if pair.at:
        second += f" {pair.at}"
    if step.effect is None:
        return f"{first} − {second}: {pair.reason}"
    return f"{first} − {second}: {formatting.effect(step.effect, finding.unit)}"


def step_in_words(finding: Finding, step: Step) -> str:
    """ "A − B: −0.41 [−0.45, −0.37] bits/byte over seeds and examples", and each task where they disagree."""
    text = step_in_short(finding, step)
    if step.effect is None:
        return text
    if step.effect.covers != "none":
        text += f" over {_covers(finding.claim, step.effect.covers, step.compared.seeds)}"
    if step.compared.reason:
        text += f" ({step.compared.reason})"
    if step.by_task:
        alone = [f"{task} {formatting.interval(effect, finding.unit)}" for task, effect in step.by_task]
        text += f"; the tasks disagree: {', '.join(alone)}"
    return text


def _covers(claim: Claim, covers: str, units: int) -> str:
    """What an interval is over: "seeds and examples", "three trainings and examples"."""
    if not claim.trainings:
        return covers
    return covers.replace("seeds", f"{WORDS.get(units, units)} trainings")


def _named(claim: Claim, first: str, second: str) -> tuple[str, str]:
    """The rows of a pair, each with its metric where they differ in that."""
    if claim.base:
        return _change(claim, first), _change(claim, second)
    if not claim.against:
        return first, second
    return f"{first} ({claim.metric})", f"{second} ({claim.against})"


def _change(claim: Claim, row: str) -> str:
    """A row as what is compared: "(A − B)" where its score is counted from that of B."""
    base = claim.base.get(row)
    return row if base is None else f"({row} − {base})"


def expectation(claim: Claim) -> str:
    """What the claim expects, in words: "A < B < C in bits_per_byte", "A < B; A < C in ..." of the first row."""
    sign = {"lower": "<", "higher": ">"}[claim.direction]
    if claim.relation == "equal":
        sign = "≈"
    words = f" {sign} ".join(_change(claim, row) for row in claim.rows)
    if claim.relation == "first" or claim.against:  # not a chain: its pairs do not follow from one another
        words = "; ".join(f" {sign} ".join(_named(claim, *pair)) for pair in claim.pairs)
    if not claim.against:
        words += f" in {claim.metric}"
    if claim.throughout:
        words += " at every point of the curve"
    if claim.margin:
        words += f", margin {claim.margin:g}"
    if claim.smallest is not None and claim.smallest != abs(claim.margin):
        words += f", smallest effect {claim.smallest:g}"
    return words


def where(claim: Claim) -> str:
    """Where a claim is tested, in words: the backbone, unless the rows name it, the tasks and what the budget is."""
    budget = [f"{key} {canonical(value)}" for key, value in claim.budget.items()]
    return ", ".join(filter(None, (claim.backbone, *claim.tasks, *budget)))


def verdict_of(finding: Finding) -> str:
    """The verdict, with a mark where it stands when it is corrected over the study, and where it is meant to hold.

    "holds ✓ at 1 million parameters"; "not testable here: ..." with what the instrument does not do.
    """
    if finding.reason:
        return f"{finding.verdict}: {finding.reason}"
    looks = len(finding.claim.looks)
    look = f"(look {finding.look + 1} of {looks})" if looks else ""
    return " ".join(filter(None, (f"{finding.verdict}{mark(finding)}", finding.claim.place, look)))


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
    for told in (what_is_open(findings), what_was_given_up(findings), smallest_effects(findings)):
        if told:
            lines += [told, ""]
    titles = ("claim", "statement", "source", "tested as", "verdict", "effect [95 %]", "seeds", "wall time")
    lines += [formatting.markdown_row(titles), formatting.markdown_row(["---"] * 6 + ["---:"] * 2)]
    for finding in findings:
        claim = finding.claim
        tested = f"{expectation(claim)}; {where(claim)}"
        statement = claim.statement
        if claim.note:
            statement += f" ({claim.note})"
        told = map(formatting.markdown_text, effects(finding))
        shown = map(formatting.markdown_text, (claim.id, statement, claim.source, tested, verdict_of(finding)))
        costs = str(finding.seeds), formatting.duration(finding.seconds)
        lines.append(formatting.markdown_row([*shown, "<br>".join(told), *costs]))
    legend = LEGEND
    if any(finding.claim.trainings for finding in findings):
        legend += OF_TRAININGS
    if any(finding.claim.base for finding in findings):
        legend += OF_CHANGES
    return "\n".join([*lines, "", legend]) + "\n"


LEGEND = (
    "Effects are differences of the mean scores, paired by seed and, where the outcomes of the examples were kept, by "
    "test example (by document, where examples were cut from such), with 95 % intervals that are corrected for the "
    "comparisons of a claim: a decided one at the level at which it was decided (Holm), an open one at the strictest "
    "(Bonferroni); each says whether it covers seeds and examples or one of them alone; where tasks lie on different "
    "sides they are shown one by one. Holds: every interval lies where the claim says; fails: one lies on the other "
    "side; negligible: they lie within the smallest effect of interest, on both sides (equivalence); undecided: none "
    "of these; not testable here: a check of the instrument fails, whatever the intervals say. ✓: the verdict stands "
    "when it is corrected over all claims of the study that were tested (Holm). Looks: a study that adds seeds by need "
    "decides at each look at the level that it may spend (Lan & DeMets 1983), all looks together at 5 %. Wall time is "
    "inside the cells behind a claim; claims share cells."
)

OF_TRAININGS = (
    " Over trainings: the unit is a trained model; the mean over the draws of calibration data on it counts once, and "
    "the column of seeds counts trainings."
)
OF_CHANGES = " (A − B): what A lies above B, of the same seed or training; the claim is about these changes."


def what_is_open(findings: Sequence[Finding]) -> str:
    """How many seeds would settle what is undecided; empty where nothing is, or nobody can say."""
    by_seeds: dict[tuple[float, str], list[str]] = {}
    for finding in findings:
        if finding.needed is not None:
            # What these seeds should have settled is neither no effect nor one that is clear of the smallest.
            needed = finding.needed if finding.needed > finding.seeds else 0.0
            by_seeds.setdefault((needed, finding.claim.unit), []).append(f"`{finding.claim.id}`")
    if not by_seeds:
        return ""
    told = [f"{_how_many(*needed)}: {', '.join(ids)}" for needed, ids in sorted(by_seeds.items())]
    units = " and ".join(sorted({unit for _, unit in by_seeds}))
    return (
        f"What would settle what is undecided, at the spread of the {units} so far (80 % power to find no effect "
        f"negligible, and more for one of 1.5 smallest effects): {'; '.join(told)}."
    )


def what_was_given_up(findings: Sequence[Finding]) -> str:
    """Which claims got no further seeds since these would hardly have decided them; empty where none."""
    ids = [f"`{finding.claim.id}`" for finding in findings if finding.is_given_up]
    if not ids:
        return ""
    return (
        "Given no further seeds, since the budget that was left had a chance of less than "
        f"{HOPELESS:.2g} of deciding them: {', '.join(ids)}."
    )


def _how_many(needed: float, unit: str) -> str:
    if needed == 0:
        return "hardly any number, since the effect lies near the smallest one"
    if math.isinf(needed):
        return f"no number of {unit}, but more test examples"
    return f"{needed:,.0f} {unit}"


def smallest_effects(findings: Sequence[Finding]) -> str:
    """The smallest effects of interest, each with its metric and reason."""
    found: dict[str, None] = {}
    for finding in findings:
        claim = finding.claim
        if claim.smallest_effect is not None and claim.smallest == claim.smallest_effect:
            found[f"{claim.smallest_effect:g} {claim.metric} ({claim.smallest_reason})"] = None
    if not found:
        return ""
    return f"Smallest effects of interest: {'; '.join(found)}. Of a claim of no or no lower difference, its margin."


def count_verdicts(findings: Sequence[Finding]) -> str:
    """Both counts, claims of papers and our own apart.

    "12 claims of papers: 9 hold, 1 fails, 2 are undecided (corrected over the study: 5 hold, 0 fail); 1 of our own:
    ...".
    """
    published = [finding for finding in findings if not finding.claim.ours]
    own = [finding for finding in findings if finding.claim.ours]
    told = []
    if published:
        told.append(f"{formatting.counted(len(published), 'claim')} of papers: {counts(published)}")
    if own:
        told.append(f"{len(own)} of our own: {counts(own)}")
    return "; ".join(told) + "."


def counts(findings: Sequence[Finding]) -> str:
    """How many claims have each verdict, as they are and corrected over the study."""
    given = Counter(finding.verdict for finding in findings)
    standing = Counter(finding.verdict for finding in findings if finding.stands)
    told = [_count(given[verdict], verdict) for verdict in VERDICTS if given[verdict]]
    stand = [_count(standing[verdict], verdict) for verdict in DECIDED if given[verdict]]
    if not stand:
        return ", ".join(told)
    return f"{', '.join(told)} (corrected over the study: {', '.join(stand)})"


def _count(number: int, verdict: ClaimVerdict) -> str:
    return f"{number} {VERBS[verdict][number != 1]}"


def _machines(findings: Sequence[Finding]) -> str:
    names = chain.from_iterable(finding.machines for finding in findings)
    return "; ".join(dict.fromkeys(names)) or "nothing was run"
