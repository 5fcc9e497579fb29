"""Sheets: what stands beside tracks, as blocks that the drawer shows without knowing what they are of.

A block is a text, a table, a chart or a gallery. Claims, panels, published figures, notes, speed runs and provenance
are sheets, so that the page has one way to show all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..figures import Figure, Gallery, plots
from ..panels import Content
from ..records.index.slim import Whole, already_whole
from ..records.record import Record
from ..tables import formatting
from ..tables import table_formats as printing
from ..tables.claims import Finding, document
from ..tables.published import PAPER, SideBySide
from .headlines import spoken
from .provenance import Provenance, some
from .speed import LEGEND, SpeedReport

if TYPE_CHECKING:
    from .section import Section

Block = dict[str, Any]
MOST_OURS = 12
MAX_FAILURES = 50
MAX_WARNINGS = 20
READING = (
    "Effects are differences to the baseline, paired by task, seed and, where the outcomes of the examples are kept,"
    " by example; positive is better, whichever way the metric points. Interval and p of a row are corrected over "
    "the rows of its track (Bonferroni), so that the interval excludes 0 just where p < 0.05. Two rows that are "
    "picked are compared as `sparsebench compare` does it, as one comparison, uncorrected: its interval is narrower."
    " Undecided: neither a difference nor, where the suite states a margin, equivalence was shown. One seed: the "
    "seed changes a row, and one says nothing of the others. Not comparable: nothing measures the spread. Controls "
    "and ceilings win nothing."
)


def text(words: str, bad: bool = False) -> Block:
    """A paragraph; `bad` marks what went wrong."""
    return {"kind": "text", "text": words, "bad": bad}


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> Block:
    """A table of texts with a heading."""
    return {"kind": "table", "title": title, "titles": list(titles), "rows": [list(map(str, row)) for row in rows]}


def chart(figure: Figure) -> list[Block]:
    """A chart with its caption, and its words as a table."""
    blocks: list[Block] = [{"kind": "chart", "title": figure.title, "spec": figure.spec, "caption": figure.caption}]
    if figure.words is not None:
        blocks.append(table(figure.words.titles, figure.words.rows) | {"fold": "In words"})
    return blocks


def gallery(found: Gallery) -> Block:
    """Small pictures and their texts."""
    pictures = [{"text": one.text, "caption": one.caption, "svg": one.svg} for one in found.pictures]
    title = f"{found.number}  {found.title}"
    shown = {"kind": "gallery", "title": title, "form": found.kind, "pictures": pictures}
    return {**shown, "texts": found.texts, "caption": found.caption}


def sheet(id: str, title: str, blocks: Iterable[Block]) -> Block:
    """A sheet, by whose id an address names it."""
    return {"id": id, "title": title, "blocks": list(blocks)}


def suite_sheets(section: Section, whole: Whole) -> Iterator[Block]:
    """How to read a suite, what its panels show, published figures, and what went wrong."""
    yield sheet(f"{section.anchor}.reading", "How to read this", _reading(section))
    for number, content in enumerate(section.panels.contents, start=1):
        columns = [place for place, column in enumerate(section.matrix.columns) if column.task in content.tasks]
        yield sheet(f"{section.anchor}.panel{number}", content.title, _panel(content)) | {"columns": columns}
    notes = notes_blocks(section.matrix.records, section.panels.problems, whole)
    if section.compared or section.published:
        yield sheet(f"{section.anchor}.published", "Published figures", _published(section))
    yield sheet(f"{section.anchor}.notes", "What did not run", notes)


def _reading(section: Section) -> Iterator[Block]:
    yield text(section.info.description)
    yield text(READING)
    legend = printing.legend(section.table)
    yield text(legend[:1].upper() + legend[1:])
    for words in printing.captions(section.table):
        yield text(words)
    yield text(
        "Training costs are of one cell, a teacher's part included; medians over the tasks and seeds of a row. –: "
        "nothing was trained, or the record does not say."
    )


def _panel(content: Content) -> Iterator[Block]:
    if content.legend:
        yield text(content.legend)
    for figure in content.figures:
        yield from chart(figure)
    for found in content.galleries:
        yield gallery(found)


def _published(section: Section) -> Iterator[Block]:
    yield text(
        "Published, not run here: other models, budgets, splits and prompts than ours. They show where the field "
        "stands and are part of no test on this page."
    )
    for found in section.compared:
        yield _side_by_side(found)
    for source in section.published:
        yield _source(source)


def _side_by_side(found: SideBySide) -> Block:
    """At most `MOST_OURS` rows of ours."""
    ours = [line for line in found.lines if line.who != PAPER]
    rows = [(line.name, line.who, *line.texts) for line in found.lines if line not in ours[MOST_OURS:]]
    return table(["method", "of", *_columns(found)], rows, f"Tasks of the same name: {found.source}")


def _source(found: SideBySide) -> Block:
    shown = table(["method", *_columns(found)], [(line.name, *line.texts) for line in found.lines])
    fold = f"{found.source}: all {len(found.lines)} rows"
    return shown | {"fold": fold, "caption": "; ".join(found.notes)}


def _columns(found: SideBySide) -> list[str]:
    return [f"{task} ({metric})" for task, metric in found.columns]


def notes_blocks(records: Sequence[Record], problems: Iterable[str], whole: Whole = already_whole) -> Iterator[Block]:
    """Panels that failed, then reasons, failures and warnings of a suite; long lists are cut, and say by how much.

    `whole` reads the tracebacks of the failures that are shown.
    """
    for problem in problems:
        yield text(f"Not drawn: {problem}", bad=True)
    reasons: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "n/a":
            reasons.setdefault(record.reason or "", []).append(record)
    failed = [record for record in records if record.status not in ("ok", "n/a")]
    warnings = Counter(chain.from_iterable(record.warnings for record in records)).most_common()
    if not (reasons or failed or warnings):
        yield text("Every cell ran, without warnings.")
    if reasons:
        rows = [(reason, _where(members), len(members)) for reason, members in reasons.items()]
        yield table(("not applicable because", "where", "cells"), rows)
    if failed:
        titles = ("failed cell", "seed", "status", "reason", "traceback")
        yield table(titles, map(_failure, map(whole, failed[:MAX_FAILURES])))
        yield from _more(len(failed) - MAX_FAILURES, "failed cells")
    if warnings:
        yield table(("warning", "times"), warnings[:MAX_WARNINGS])
        yield from _more(len(warnings) - MAX_WARNINGS, "kinds of warnings")


def _where(records: Sequence[Record]) -> str:
    """The labels and tasks that share a reason: "prefix tuning: digits, svhn"."""
    tasks: dict[str, dict[str, None]] = {}
    for record in records:
        tasks.setdefault(record.cell.label, {})[record.cell.task] = None
    return some((f"{label}: {some(names)}" for label, names in tasks.items()), separator="; ")


def _failure(record: Record) -> tuple[str, int, str, str, str]:
    cell = record.cell
    where = f"{cell.label} · {spoken(cell.task)}"
    return where, cell.seed, record.status, record.reason or "", record.traceback or ""


def _more(count: int, what: str) -> Iterator[Block]:
    if count > 0:
        yield text(f"and {count} more {what}.")


def claims_sheet(findings: Sequence[Finding]) -> Block:
    """Every claim with its verdict, what was tested and the effects behind it."""
    rows = []
    for found in findings:
        claim = found.claim
        source = "; ".join(filter(None, [claim.source, claim.note]))
        tested = f"{document.expectation(claim)}; {document.where(claim)}"
        effects = "; ".join(document.effects(found))
        verdict = document.verdict_of(found)
        time = formatting.duration(found.seconds)
        rows.append((verdict, claim.statement, effects, claim.id, source, tested, found.seeds, time))
    titles = ("verdict", "statement", "effect [95 %]", "claim", "source", "tested as", "seeds", "wall time")
    blocks = [text(document.count_verdicts(findings)), table(titles, rows), text(document.LEGEND)]
    return sheet("claims", "Claims of papers", blocks)


def speed_sheet(report: SpeedReport | None, error: str | None) -> Iterator[Block]:
    """Our modules beside named peers; nothing without speed runs."""
    if report is None and error is None:
        return
    yield sheet("speed", "Speed beside peers", _speed(report, error))


def _speed(report: SpeedReport | None, error: str | None) -> Iterator[Block]:
    if error:
        yield text(error, bad=True)
    if report is None:
        return
    for line in report.shortfalls:
        yield text(line, bad=True)
    yield text(
        "Medians of rounds in which all of a group take turns; times as fast: the median of the group's fastest peer "
        "over ours. Of the floor: the least work of that size (the plain layer, or the dense FFN of the active size), "
        f"timed in the same rounds; 100 % would be as fast. {LEGEND} Machine: {report.machine}."
    )
    lines = [(f"{line.group}: {line.name}", line.ratio) for line in report.lines if line.ratio]
    if lines:
        title = "Speed against the peer"
        yield from chart(Figure(title, plots.speed_ratios(lines, title)))
    rows = []
    for line in report.lines:
        ratio = f"{line.ratio:.2f}×{line.mark}" if line.ratio else line.role or "–"
        least = f"{line.times_least:.2f}×" if line.times_least else "–"
        floor = f"{100 * line.floor:.0f} %" if line.floor else "–"
        times = formatting.milliseconds(1000 * line.median), formatting.milliseconds(1000 * line.iqr)
        rows.append((line.group, line.name, ratio, floor, least, *times, line.rounds))
    titles = ("group", "layer", "times as fast as the peer", "of the floor", "times its floor", "median")
    yield table((*titles, "quartile range", "rounds"), rows)


def provenance_sheet(found: Provenance) -> Block:
    """Data, environment and code behind all records."""
    when = f"{formatting.moment(found.started)} to {formatting.moment(found.finished)}"
    code = " ".join(found.code[:8])
    if len(found.code) > 8:
        code += f" and {len(found.code) - 8} more"
    blocks = [
        text(f"{when} · {formatting.duration(found.seconds)} inside cells · seeds {found.seeds}"),
        table(("source", "version", "sha256", "licence", "suites"), found.sources, "Data and weights"),
        table(("environment", "value"), [*found.environment, ("code", code)], "Environment"),
    ]
    return sheet("provenance", "Provenance", blocks)
