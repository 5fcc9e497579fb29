"""What `RESULTS.md` says of one result folder: findings, what people read from them, and then all that is doubtful."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..tables.brief import Brief
from ..tables.claims import Finding
from ..tables.claims.claim import DECIDED
from ..tables.claims.document import VERBS, count_verdicts, mark
from ..tables.claims.summary import deciding_effect, surest_first
from ..tables.dataframe import newest
from ..tables.formatting import duration, markdown_row, markdown_text
from ..tables.matrix import matrices
from ..tables.suite_table import SuiteInfo, suite_table
from ..tables.table_formats import captions
from .headlines import Headline, headlines, measure
from .provenance import commits_note, made_by, provenance, these_hold_at
from .reading import Reading

MARK = ": set-up objected to, see the end of this section"
"""Behind the heading of a folder with an objection."""
TITLES = ("task", "method", "score", "against the baseline", "active params", "latency")


@dataclass(frozen=True)
class Suite:
    """What a folder has of one suite."""

    info: SuiteInfo
    headlines: list[Headline]
    captions: list[str]
    """What random features say of its tasks."""


def suites_of(reading: Reading, infos: Mapping[str, SuiteInfo]) -> list[Suite]:
    """The suites that are presented; none of a study, whose findings are its claims."""
    suites = []
    for matrix in matrices(newest(reading.records)[0], reading.examples, reading.roles):
        info = infos.get(matrix.suite)
        if info is not None and not reading.findings:
            table = suite_table(matrix, info)
            suites.append(Suite(info, headlines(matrix.suite, matrix, info, table), captions(table)))
    return suites


def picture_of(dark: str, light: str, alt: str) -> str:
    """A picture that follows the page's colours, from its two files."""
    return f"""<picture>
  <source media="(prefers-color-scheme: dark)" srcset="{dark}">
  <img alt="{escape(alt)}" src="{light}">
</picture>
"""


def section_of(path: str, reading: Reading, suites: Sequence[Suite], curves: Sequence[str] = ()) -> str:
    """Findings, what people read from them, then all that is doubtful.

    Args:
        path: the folder as seen from the document.
        reading: what it holds.
        suites: what was found in its suites.
        curves: files of the picture of its long trainings, dark and light.
    """
    where = f"{path}/claims.md" if reading.findings else path
    lines = [f"## [{path}]({where}){MARK if reading.objection else ''}", ""]
    lines += _study(reading.findings) if reading.findings else _bench(suites)
    if curves:
        lines.append(picture_of(*curves, alt="Scores on the validation part over training"))
    if reading.words:
        lines += ["### Reading", "", reading.words.strip(), ""]
    said = [f"- {words}" for suite in suites for words in suite.captions]
    return "\n".join([*lines, "### Doubt", "", *_doubt(reading), *said, ""])


def _doubt(reading: Reading) -> Iterator[str]:
    """The objection to the set-up, what cannot be tested, how far records are vouched for, commits not here."""
    if reading.objection:
        yield f"- **{reading.objection}**"
    reasons: dict[str, list[str]] = {}
    for finding in reading.findings:
        if finding.reason:
            reasons.setdefault(finding.reason, []).append(_id(finding))
    for reason, ids in reasons.items():
        yield f"- Not testable here: {', '.join(ids)} ({reason})."
    yield f"- {_origin(reading)}"
    note = commits_note(reading.records, reading.unknown_commits)
    if note:
        yield f"- Code that is in no commit here: {note}."


def _origin(reading: Reading) -> str:
    """How many records, from when, what made them, and where they hold."""
    found = provenance(reading.records)
    machines = sorted({str(record.environment.get("processor", "unknown processor")) for record in reading.records})
    return (
        f"{len(reading.records)} records of {found.started[:10]} to {found.finished[:10]}, seeds {found.seeds}, "
        f"{duration(found.seconds)} inside cells, on {', '.join(machines)}; "
        f"{made_by(reading.records)}; {these_hold_at(reading.standings)}."
    )


def _bench(suites: Iterable[Suite]) -> Iterator[str]:
    for suite in suites:
        yield from (f"### {suite.info.title}", "", suite.info.description, "")
        for one in suite.headlines:
            words = [one.found.sentence, _counted(one.found.counts), one.found.others]
            yield f"- **{one.name}**: {' '.join(filter(None, words))}"
        yield from ("", markdown_row(TITLES), markdown_row(["---"] * 2 + ["---:"] * 4))
        for one in suite.headlines:
            yield from map(markdown_row, _rows(one.name, one.brief))
        yield ""


def _counted(outcomes: Mapping[str, int]) -> str:
    """The outcomes of several methods; of one the sentence has said it."""
    total = sum(outcomes.values())
    if total < 2:
        return ""
    return f"Of {total} methods: {', '.join(f'{count} {outcome}' for outcome, count in outcomes.items())}."


def _rows(name: str, brief: Brief) -> Iterator[Sequence[str]]:
    """The rows of a track, the best bold, its name in the first alone."""
    task = f"{name}, {measure(brief.first)}"
    for one, (row, score, *rest) in zip(brief.lines, brief.texts(), strict=True):
        yield (task, markdown_text(row), f"**{score}**" if one.best else score, *rest)
        task = ""


def _study(findings: Sequence[Finding]) -> Iterator[str]:
    """The counts, what is decided of papers' claims and stands of ours, place by place; the others by name."""
    yield from (count_verdicts(findings), "")
    told = [one for one in surest_first(findings) if one.verdict in DECIDED and (one.stands or not one.claim.ours)]
    for place in dict.fromkeys(finding.claim.place for finding in told):
        if place:
            yield from (f"{place[:1].upper()}{place[1:]}:", "")
        yield from (markdown_row(("claim", "verdict", "effect [95 %]")), markdown_row(["---"] * 3))
        yield from _claims(finding for finding in told if finding.claim.place == place)
        yield ""
    others = []
    for verdict in DECIDED:
        ids = [_id(one) for one in findings if one.verdict == verdict and one not in told]
        if ids:
            others.append(f"{', '.join(ids)} {VERBS[verdict][len(ids) != 1]}")
    if others:
        yield from (f"Of ours, uncorrected: {'; '.join(others)}.", "")
    undecided = [_id(one) for one in findings if one.verdict == "undecided"]
    if undecided:
        yield from (f"Undecided: {', '.join(undecided)}.", "")


def _claims(findings: Iterable[Finding]) -> Iterator[str]:
    """A row for each statement and verdict, with the effect of each claim that tests it."""
    rows: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        statement = f"{finding.claim.statement} (ours)" if finding.claim.ours else finding.claim.statement
        rows.setdefault((statement, f"{finding.verdict}{mark(finding)}"), []).append(finding)
    for (statement, verdict), members in rows.items():
        ids = ", ".join(map(_id, members))
        told = [markdown_text(deciding_effect(one)) for one in members]
        yield markdown_row((f"{markdown_text(statement)} {ids}", verdict, "<br>".join(told)))


def _id(finding: Finding) -> str:
    return f"`{finding.claim.id}`"
