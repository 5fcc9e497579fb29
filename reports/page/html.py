"""The one self-contained HTML page: inline style, inline SVG, nothing fetched, readable on a phone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..figures import Figure, plots
from ..figures.suite_figures import SuiteFigures, suite_figures
from ..panels import SuitePanels, suite_panels
from ..records.index.slim import Whole, already_whole
from ..records.record import Record
from ..records.store import Problem
from ..records.vouchers import Standing
from ..tables import formatting
from ..tables import table_formats as printing
from ..tables.claims import Finding, document
from ..tables.claims.summary import study_summaries
from ..tables.comparison import Contrast, contrasts
from ..tables.matrix import Matrix, Row
from ..tables.published import PublishedTable, published_tables
from ..tables.published_comparison import PublishedComparison, compare_published
from ..tables.suite_entries import SuiteTable
from ..tables.suite_table import SuiteInfo, suite_table
from ..tables.summary import Summary, summaries
from .provenance import Notes, Provenance, notes, provenance
from .speed import SpeedReport

TEMPLATES = Path(__file__).parent / "templates"
MAX_LISTED = 5000
"""Up to so many records of a suite the page names each one; beyond, the first of each cell of the table."""
MAX_IDS = 3


@dataclass(frozen=True, kw_only=True)
class Section:
    """Everything that the page shows of one suite."""

    anchor: str
    info: SuiteInfo
    matrix: Matrix
    table: SuiteTable
    footnotes: dict[str, int]
    summaries: list[Summary]
    contrasts: list[Contrast]
    figures: SuiteFigures
    panels: SuitePanels
    compared: list[PublishedComparison]
    published: list[PublishedTable]
    notes: Notes
    outside: Mapping[Row, str]
    """Of the rows with records whose scores today's code does not give, how many."""

    @property
    def ids_shown(self) -> int:
        """How many ids of records each cell of the table names; `scores.csv` has them all."""
        records = len(self.matrix.records)
        return records if records <= MAX_LISTED else MAX_IDS


def section(
    matrix: Matrix,
    info: SuiteInfo,
    anchor: str,
    whole: Whole = already_whole,
    standings: Sequence[Standing | None] = (),
    findings: Sequence[Finding] = (),
) -> Section:
    """Computes all that the page shows of one suite.

    `whole` reads what slim records lack; `standings` are what running cells again has shown; of a study,
    `findings` are what its claims say, and the summary is made of these.
    """
    table = suite_table(matrix, info)
    found = contrasts(matrix, info)
    tables = published_tables(matrix.suite)
    outside: set[str] = set()
    for standing in standings:
        if standing is not None:
            outside |= standing.outside
    return Section(
        anchor=anchor,
        info=info,
        matrix=matrix,
        table=table,
        footnotes=printing.footnotes(table),
        summaries=study_summaries(findings, matrix.suite) or summaries(matrix, info, found),
        contrasts=found,
        figures=suite_figures(matrix, table, whole),
        panels=suite_panels(matrix, table, whole),
        compared=_compared(matrix, table, tables),
        published=tables,
        notes=notes(matrix.records, whole),
        outside=_outside_by_row(matrix, outside),
    )


def _outside_by_row(matrix: Matrix, outside: Collection[str]) -> dict[Row, str]:
    """ "2 of 12 records are of code that gives another score now", for the rows of which some are."""
    made: Counter[Row] = Counter()
    scored: Counter[Row] = Counter()
    for (row, _), records in matrix.cells.items():
        made[row] += sum(record.code in outside for record in records)
        scored[row] += sum(record.status != "n/a" for record in records)
    said = "records are of code that gives another score now"
    return {row: f"{count} of {scored[row]} {said}" for row, count in made.items() if count}


def _compared(matrix: Matrix, table: SuiteTable, sources: Sequence[PublishedTable]) -> list[PublishedComparison]:
    """The sources that have a task of ours."""
    found = [compare_published(matrix, table, source) for source in sources]
    return [comparison for comparison in found if comparison is not None]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What stands on the page: one section per suite, and what concerns all of them."""

    sections: Sequence[Section]
    records: Sequence[Record]
    superseded: int
    problems: Sequence[Problem]
    speed: SpeedReport | None
    speed_error: str | None
    findings: Sequence[Finding] = ()
    holds: str = ""
    """What made the records, and where they hold."""
    commits: str = ""
    """What is not right with the commits that the records name."""
    objection: str = ""
    """What the set-up of a study is objected to for, until it is made again."""

    @property
    def counts(self) -> dict[str, int]:
        """Status to number of records, only those that occur."""
        counts = Counter(record.status for record in self.records)
        # What went well comes first, whatever happened first.
        return dict(sorted(counts.items(), key=lambda item: item[0] != "ok"))

    @property
    def provenance(self) -> Provenance:
        """The provenance of all records on the page."""
        return provenance(self.records)

    @property
    def speed_figure(self) -> Figure | None:
        """The bars of the ratios to the peers, if there are any."""
        if self.speed is None:
            return None
        lines = [(f"{line.group}: {line.name}", line.ratio) for line in self.speed.lines if line.ratio]
        if not lines:
            return None
        title = "Speed against the peer"
        return Figure(title, plots.speed_ratios(lines[: plots.MAX_MARKS], title))


def render_html(page: Page) -> str:
    """The page as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        f=formatting, p=printing, claims=document, colour=plots.colour, ink_on=plots.ink_on, zip=zip
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(page=page, style=style)
