"""What the drawer shows of a row, and of two that are picked, as JSON values.

Of a row: its seeds, configuration, curves, outcomes by example and records. Pairs are compared as `sparsebench compare`
does, so that the page shows them without computing. Of a track with many rows only those with a baseline and with the
best row are made: the page says so of the others, and names the command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any

from ..figures.plots import thinned
from ..records.index.slim import Whole
from ..records.record import Record
from ..tables import formatting
from ..tables.brief import Brief
from ..tables.comparison import between
from ..tables.dataframe import canonical, seconds
from ..tables.matrix import Column, Matrix, Row, setting
from ..tables.summary import best_line
from .headlines import spoken_column
from .reading import Where

if TYPE_CHECKING:
    from .section import Section

MOST_RECORDS = 5000
"""Up to so many records of a suite all are named, with outcomes by example; beyond, the first of each cell."""
MOST_IDS = 3
MOST_CURVES = 200
"""Cells of a suite whose curves are shown: each is a record that is read whole."""
MOST_POINTS = 40
MOST_EXAMPLES = 1000
"""Outcomes of the first examples of a cell."""
MOST_ROWS = 48
"""Rows of a track up to which all pairs are made: 1,128 of them."""
MOST_PAIRS = 3000
"""Pairs of a track, whatever its rows."""
Pairs = dict[str, list[list[str]]]
"""Two numbers of rows ("0-3", the lower one first) to a line for each task: task, effect, over, p, pairs, outcome."""


def rows_of(section: Section, whole: Whole, where: Where) -> list[dict[str, Any]]:
    """Every row of the table of a suite, in its order."""
    few = len(section.matrix.records) <= MOST_RECORDS
    room = MOST_CURVES
    found = []
    for line in section.table.lines:
        cells = {}
        for number, column in enumerate(section.matrix.columns):
            records = section.matrix.cells.get((line.row, column), [])
            if records:
                with_curves = room > 0 and any(record.curves for record in records)
                room -= with_curves
                cells[str(number)] = _cell(section.matrix, line.row, column, few, whole if with_curves else None)
        first = section.matrix.record_of(line.row)
        about = {
            "name": line.shown_name,
            "label": line.row.label,
            "config": _config(first),
            "folder": where(first),
            "cells": cells,
        }
        found.append(about)
    return found


def _config(record: Record) -> dict[str, str]:
    """What the row is: method, options, backbone, budget and type of numbers; what rows share is told by comparing."""
    cell = record.cell
    found = {"backbone": cell.backbone or "none"}
    for link in cell.links:
        prefix = f"{link.method}: " if len(cell.links) > 1 else ""
        found[f"{prefix}method"] = link.method
        found |= {f"{prefix}{name}": canonical(value) for name, value in link.config.items()}
    return {**found, **setting(record)}


def _cell(matrix: Matrix, row: Row, column: Column, few: bool, whole: Whole | None) -> dict[str, Any]:
    """One row on one task."""
    records = sorted(matrix.cells[row, column], key=lambda record: record.cell.seed)
    lowest = records[0]
    found: dict[str, Any] = {
        "records": [_record(record, column) for record in (records if few else records[:MOST_IDS])],
        "left": 0 if few else max(0, len(records) - MOST_IDS),
    }
    if few:
        found["scores"] = {name: formatting.number(one.value, one.unit) for name, one in lowest.metrics.items()}
        found |= _examples(matrix, row, column)
    if whole is not None:
        chosen = next((record for record in records if record.curves), lowest)
        found["curves"] = {name: _thin(points) for name, points in whole(chosen).curves.items() if len(points) > 1}
    return found


def _record(record: Record, column: Column) -> dict[str, Any]:
    value = record.metrics.get(column.metric)
    shown = None if value is None else formatting.rounded(formatting.scale(value.unit) * value.value)
    return {
        "id": record.id,
        "seed": record.cell.seed,
        "value": shown,
        "status": record.status,
        "reason": record.reason or "",
        "commit": (record.commit or "")[:8],
        "finished": formatting.moment(record.finished),
        "took": formatting.duration(seconds(record)),
    }


def _examples(matrix: Matrix, row: Row, column: Column) -> dict[str, Any]:
    """What each of the first examples contributes to the score of the lowest seed, and the number of all of them.

    None where nothing was kept. Seven figures, since the page tells equal ones from others.
    """
    scores = matrix.scores(row, column)
    kept = scores[min(scores)].examples() if scores else None
    if kept is None:
        return {"examples": None}
    values = [formatting.rounded(value, 7) for value in kept.values[:MOST_EXAMPLES].tolist()]
    return {"examples": values, "of": len(kept.values)}


def _thin(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    """At most `MOST_POINTS` points of a curve, its ends among them."""
    return [[step, formatting.rounded(value, 4)] for step, value in thinned(points, MOST_POINTS)]


def columns_of(section: Section) -> list[Mapping[str, str]]:
    """The tasks of a suite, by whose numbers the cells of a row go."""
    return [
        {"task": column.task, "name": spoken_column(column), "metric": column.metric}
        for column in section.matrix.columns
    ]


def pairs_of(section: Section, brief: Brief, numbers: Mapping[Row, int]) -> Pairs:
    """The pairs of a track, the row with the lower number first.

    Args:
        section: of the suite.
        brief: the track.
        numbers: of the rows of the suite.
    """
    found: Pairs = {}
    for ours, theirs in islice(_chosen(section, brief, numbers), MOST_PAIRS):
        lines = []
        for column in brief.family.columns:
            if section.matrix.scores(ours, column) and section.matrix.scores(theirs, column):
                line = between(section.matrix, ours, theirs, column, section.info.margins)
                _, _, *texts = line.texts()
                lines.append([spoken_column(column), *texts])
        if lines:
            found[f"{numbers[ours]}-{numbers[theirs]}"] = lines
    return found


def _chosen(section: Section, brief: Brief, numbers: Mapping[Row, int]) -> Iterator[tuple[Row, Row]]:
    """All pairs, or of many rows those with a baseline or the best row; the lower number first."""
    rows = sorted((line.line.row for line in brief.lines), key=numbers.__getitem__)
    if len(rows) <= MOST_ROWS:
        yield from combinations(rows, 2)
        return
    anchors = [line.line.row for line in brief.lines if line.line.role == "baseline"]
    best = best_line(section.matrix, brief)
    if best is not None and best.line.row not in anchors:
        anchors.append(best.line.row)
    for place, anchor in enumerate(anchors):
        for row in rows:
            if row not in anchors[: place + 1]:
                yield (anchor, row) if numbers[anchor] < numbers[row] else (row, anchor)
