"""Everything that the page shows of one suite, computed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..panels import SuitePanels, suite_panels
from ..published.side_by_side import beside
from ..records.index.slim import Whole, already_whole
from ..records.vouchers import Standing
from ..tables.matrix import Matrix, Row
from ..tables.published import MISSING, SideBySide, published_tables, same_name
from ..tables.suite_entries import SuiteTable
from ..tables.suite_table import SuiteInfo, row_name, suite_table
from .headlines import Headline, headlines

HERE = "here"
"""Whose rows ours are beside published ones."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Everything that the page shows of one suite."""

    anchor: str
    info: SuiteInfo
    matrix: Matrix
    table: SuiteTable
    headlines: list[Headline]
    panels: SuitePanels
    compared: list[SideBySide]
    """Sources with a task of ours, and their rows on it with ours at the end."""
    published: list[SideBySide]
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
    tables = published_tables(matrix.suite)
    outside = set[str]().union(*(standing.outside for standing in standings if standing is not None))
    return Section(
        anchor=anchor,
        info=info,
        matrix=matrix,
        table=table,
        headlines=headlines(anchor, matrix, info, table),
        panels=suite_panels(matrix, table, whole),
        compared=[found for source in tables for found in _compared(matrix, source)],
        published=tables,
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


def _compared(matrix: Matrix, source: SideBySide) -> Iterator[SideBySide]:
    """The tasks of a source that have the name of one of ours; rows without a score on any of them are left out."""
    tasks = {}
    for task, _ in source.columns:
        tasks[task] = [column.task for column in matrix.columns if same_name(column.task, task)]
    if any(tasks.values()):
        found = beside(source, matrix, tasks, lambda row: row_name(matrix, row), lambda row: HERE)
        yield replace(found, lines=tuple(line for line in found.lines if set(line.texts) != {MISSING}))
