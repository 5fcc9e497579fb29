"""Pairs of rows, compared as `sparsebench compare` does, so that the page shows two picked rows without computing.

Of a track with many rows only the pairs with a baseline and with the best row are made: a page says so of the others,
and names the command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, islice
from typing import TYPE_CHECKING

from ..tables.brief import Brief
from ..tables.comparison import between
from ..tables.matrix import Row
from ..tables.summary import best_line
from .headlines import spoken_column

if TYPE_CHECKING:
    from .section import Section

MOST_ROWS = 48
"""Rows of a track up to which all pairs are made: 1,128 of them."""
MOST_PAIRS = 3000
"""Pairs of a track, whatever its rows."""
Pairs = dict[str, list[list[str]]]
"""Two numbers of rows ("0-3", the lower one first) to a line for each task: task, effect, over, p, pairs, outcome."""


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
