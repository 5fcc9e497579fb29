"""Everything that the page shows of one suite, computed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..panels import SuitePanels, suite_panels
from ..records.index.slim import Whole, already_whole
from ..records.vouchers import Standing
from ..tables.brief import Brief, briefs
from ..tables.comparison import contrasts
from ..tables.matrix import Matrix, Row
from ..tables.published import PublishedTable, published_tables
from ..tables.published_comparison import PublishedComparison, compare_published
from ..tables.suite_entries import SuiteTable
from ..tables.suite_table import SuiteInfo, suite_table
from ..tables.summary import summary
from .headlines import Headline, headlines
from .provenance import Notes, notes


@dataclass(frozen=True, kw_only=True)
class Section:
    """Everything that the page shows of one suite."""

    anchor: str
    info: SuiteInfo
    matrix: Matrix
    table: SuiteTable
    briefs: list[Brief]
    headlines: list[Headline]
    """One for each of the briefs."""
    panels: SuitePanels
    compared: list[PublishedComparison]
    published: list[PublishedTable]
    notes: Notes
    outside: Mapping[Row, str]
    """Of the rows with records whose scores today's code does not give, how many."""


def section(
    matrix: Matrix,
    info: SuiteInfo,
    anchor: str,
    whole: Whole = already_whole,
    standings: Sequence[Standing | None] = (),
) -> Section:
    """Computes all that the page shows of one suite.

    `whole` reads what slim records lack; `standings` are what running cells again has shown.
    """
    table = suite_table(matrix, info)
    found = briefs(table, contrasts(matrix, info))
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
        briefs=found,
        headlines=headlines(anchor, [(brief, summary(matrix, brief)) for brief in found]),
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
