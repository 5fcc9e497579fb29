"""Parts of the page that belong to one kind of result, each one file with a `PANEL` (see `panel.py`), found by file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from ..matrix import Matrix
from ..record import Record, RecordError
from ..tables import SuiteTable
from .panel import Content, Entry, Panel

CONTRACT = "panel"
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


def suite_panels(matrix: Matrix, table: SuiteTable) -> SuitePanels:
    """All panels that have something to show; an entry that cannot be read must not hide the scores."""
    contents: list[Content] = []
    problems: dict[str, None] = {}
    for panel in find_panels():
        entries = list(_entries(panel, matrix, table, problems))
        content = panel.show(entries) if entries else None
        if content is not None:
            contents.append(content)
    return SuitePanels(tuple(contents), tuple(problems)[:MAX_PROBLEMS])


def _entries(panel: Panel[Any], matrix: Matrix, table: SuiteTable, problems: dict[str, None]) -> Iterator[Entry[Any]]:
    """The readable entries, row by row, each over all its tasks; what is wrong with the others goes to `problems`."""
    for number, line in enumerate(table.lines, start=1):
        for column in matrix.columns:
            record = _lowest_seed(matrix.cells.get((line.row, column), ()), panel.key)
            if record is None:
                continue
            try:
                value = panel.read(record)
            except RecordError as error:
                problems[str(error)] = None
                continue
            yield Entry(number, line.name, record.cell.task, value)


def _lowest_seed(records: list[Record] | tuple[()], key: str) -> Record | None:
    having = [record for record in records if key in record.details]
    return min(having, key=lambda record: record.cell.seed, default=None)
