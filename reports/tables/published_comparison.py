"""Published figures next to ours, on tasks of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..statistics import Score, estimate
from . import formatting
from .matrix import Column, Matrix, trials_of
from .published import MISSING, PublishedTable, same_name
from .suite_entries import Entry, Line, SuiteTable, entry_text

MAX_ROWS = 12


@dataclass(frozen=True, kw_only=True)
class PublishedComparison:
    """The tasks that we share with one source: per row of ours its number in the table, name, and a text per task."""

    source: str
    notes: tuple[str, ...]
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    ours: tuple[tuple[int, str, tuple[str, ...]], ...]
    theirs: tuple[tuple[str, tuple[str, ...]], ...]


def compare_published(matrix: Matrix, table: SuiteTable, published: PublishedTable) -> PublishedComparison | None:
    """The tasks of `published` that have the name of one of ours; None if there are none.

    A task with one published metric is compared with our main metric, one with several with ours of the same names.
    Rows without any of these scores are excluded.
    """
    places = []
    for ours, column in enumerate(table.columns):
        for theirs, task in enumerate(published.tasks):
            if same_name(column.task, task):
                places.append((ours, theirs))
    if not places:
        return None
    our_rows = []
    for number, line in enumerate(table.lines, start=1):
        texts = _ours(matrix, table, line, published, places)
        if _any(texts):
            our_rows.append((number, line.name, texts))
    their_rows = []
    for method, row in zip(published.methods, published.values, strict=True):
        texts = tuple(row[theirs] for _, theirs in places)
        if _any(texts):
            their_rows.append((method, texts))
    return PublishedComparison(
        source=published.source,
        notes=published.notes,
        tasks=tuple(table.columns[ours].task for ours, _ in places),
        metrics=tuple(published.metrics[theirs] for _, theirs in places),
        ours=tuple(our_rows[:MAX_ROWS]),
        theirs=tuple(their_rows),
    )


def _any(texts: Sequence[str]) -> bool:
    return any(text != MISSING for text in texts)


def _ours(
    matrix: Matrix, table: SuiteTable, line: Line, published: PublishedTable, places: Sequence[tuple[int, int]]
) -> tuple[str, ...]:
    texts = []
    for ours, theirs in places:
        column = table.columns[ours]
        entry = line.entries[ours]
        if published.tasks.count(published.tasks[theirs]) > 1:
            texts.append(_metric_text(matrix, line, column, entry, published.metrics[theirs]))
        else:
            texts.append(entry_text(entry, column.unit, {}))
    return tuple(texts)


def _metric_text(matrix: Matrix, line: Line, column: Column, entry: Entry, name: str) -> str:
    """Our metric of the published name, per cent only where the published one is; a dash if we have none."""
    if entry.kind != "value":
        return entry_text(entry, column.unit, {})
    scores = []
    unit = ""
    for record in matrix.cells[line.row, column]:
        for ours, metric in record.metrics.items():
            if record.status == "ok" and same_name(ours, name):
                scores.append(Score(metric.value, metric.stderr, trials_of(metric)))
                # A paper that says 0.85 of what we store as a fraction is read next to 0.85, not next to 85 %.
                if "%" in name:
                    unit = metric.unit
    if not scores:
        return MISSING
    return formatting.estimate(estimate(scores), unit)
