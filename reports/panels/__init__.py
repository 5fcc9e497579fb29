"""Parts of the page that belong to one kind of result, each one file with a `PANEL` (see `panel.py`).

They are found by file in this folder, and in other packages by the entry-point group `sparsebench.panels`
(`name = "package.module"`). A panel that fails is named on the page and hides nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Any

from ..records.index.slim import Whole, already_whole
from ..records.record import RecordError
from ..tables.matrix import Matrix
from ..tables.suite_entries import SuiteTable
from .panel import Content, Entry, Panel

CONTRACT = "panel"
GROUP = "sparsebench.panels"
MAX_PROBLEMS = 10


@dataclass(frozen=True)
class SuitePanels:
    """What the panels show of a suite, and which entries could not be read."""

    contents: tuple[Content, ...]
    problems: tuple[str, ...]


def find_panels() -> list[Panel[Any]]:
    """One panel per file of this folder, by name."""
    names = sorted(module.name for module in iter_modules(__path__) if module.name != CONTRACT)
    return [import_module(f"{__name__}.{name}").PANEL for name in names]


def outside_panels() -> tuple[list[Panel[Any]], list[str]]:
    """The panels that installed packages bring, by name, and what is wrong with those that cannot be loaded."""
    panels = []
    problems = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            panel = import_module(point.value).PANEL
        except Exception as error:  # a package of somebody else may break in any way; the page says how
            problems.append(f"the panel {point.name!r} of {point.value}: {type(error).__name__}: {error}")
            continue
        if isinstance(panel, Panel):
            panels.append(panel)
        else:
            problems.append(f"the panel {point.name!r} of {point.value}: PANEL is a {type(panel).__name__}, no Panel")
    return panels, problems


def suite_panels(matrix: Matrix, table: SuiteTable, whole: Whole = already_whole) -> SuitePanels:
    """All panels that have something to show; one that cannot be shown or read must not hide the scores.

    Args:
        matrix: the records of the suite.
        table: its table, which has the order of rows and tasks.
        whole: reads what slim records lack.

    Returns:
        What they show, and which entries could not be read.
    """
    contents: list[Content] = []
    outside, broken = outside_panels()
    problems = dict.fromkeys(broken)
    for panel in [*find_panels(), *outside]:
        try:
            entries = list(_entries(panel, matrix, table, whole, problems))
            content = panel.show(entries) if entries else None
        except Exception as error:  # the same: whatever a panel raises, the scores are shown
            problems[f"the panel of {panel.key!r}: {type(error).__name__}: {error}"] = None
            continue
        if content is not None:
            contents.append(replace(content, tasks=frozenset(entry.task for entry in entries)))
    return SuitePanels(tuple(contents), tuple(problems)[:MAX_PROBLEMS])


def _entries(
    panel: Panel[Any], matrix: Matrix, table: SuiteTable, whole: Whole, problems: dict[str, None]
) -> Iterator[Entry[Any]]:
    """The readable entries, row by row, each over all its tasks; what is wrong with the others goes to `problems`."""
    for number, line in enumerate(table.lines, start=1):
        for column in matrix.columns:
            having = [record for record in matrix.cells.get((line.row, column), ()) if panel.has_entry(record)]
            if not having:
                continue
            record = min(having, key=lambda record: record.cell.seed)
            try:
                value = panel.read(whole(record))
            except RecordError as error:
                problems[str(error)] = None
                continue
            yield Entry(number, line.name, record.cell.task, value)
