"""Which molecules and which figures of property control the page shows for a suite: a bounded number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from ..figures import plots
from ..figures.plots import Aim
from ..figures.suite_figures import MAX_LINES, Figure
from ..matrix import Matrix, Row
from ..record import Record, RecordError
from ..tables import SuiteTable
from .molecules import KEY as MOLECULES
from .molecules import Kind, Panel, draw, panels
from .property_control import KEY as CONTROL
from .property_control import property_control

MAX_PANELS = 6
"""Panels of molecules per suite: with 24 molecules each they take half a megabyte."""
MAX_MOLECULES = 24
MAX_CONTROLS = 6
Found = TypeVar("Found")


@dataclass(frozen=True)
class Molecule:
    """A molecule on the page: its drawing, None if it is shown as text."""

    smiles: str
    caption: str
    svg: str | None


@dataclass(frozen=True, kw_only=True)
class PanelFigure:
    """A panel of molecules with the row (number, name) and the task that it belongs to, and what was left out of it."""

    number: int
    name: str
    task: str
    title: str
    kind: Kind
    molecules: tuple[Molecule, ...]
    left_out: int


@dataclass(frozen=True)
class SuiteDrawings:
    """What is drawn of a suite, how much was left out, and which records hold entries that cannot be read."""

    panels: tuple[PanelFigure, ...]
    panels_left_out: int
    controls: tuple[Figure, ...]
    controls_left_out: int
    rows_left_out: int
    problems: tuple[str, ...]


def suite_drawings(matrix: Matrix, table: SuiteTable) -> SuiteDrawings:
    """Panels row by row in the order of the table, each over all its tasks; a figure per task and property."""
    problems: dict[str, None] = {}
    found = [
        (number, record, panel)
        for number, record in _first_seeds(matrix, table, MOLECULES)
        for panel in _read(panels, record, (), problems)
    ]
    names = {number: line.name for number, line in enumerate(table.lines, start=1)}
    shown = [_panel_figure(number, names[number], record, panel) for number, record, panel in found[:MAX_PANELS]]
    controls = _controls(matrix, table, problems)
    rows = {number for lines in controls.values() for number, _ in lines}
    return SuiteDrawings(
        tuple(shown),
        len(found) - len(shown),
        tuple(_control_figure(*key, lines[:MAX_LINES]) for key, lines in islice(controls.items(), MAX_CONTROLS)),
        max(0, len(controls) - MAX_CONTROLS),
        max(0, len(rows) - MAX_LINES),
        tuple(problems),
    )


def _first_seeds(matrix: Matrix, table: SuiteTable, key: str) -> Iterator[tuple[int, Record]]:
    """Per row (its number) and task: the record of the lowest seed with such an entry."""
    columns = list(matrix.columns)
    numbers: dict[Row, int] = {line.row: number for number, line in enumerate(table.lines, start=1)}
    for row, number in numbers.items():
        for column in columns:
            records = [record for record in matrix.cells.get((row, column), ()) if key in record.details]
            if records:
                yield number, min(records, key=lambda record: record.cell.seed)


def _read(how: Callable[[Record], Found], record: Record, empty: Found, problems: dict[str, None]) -> Found:
    """What the record holds; an entry that cannot be read is a line on the page, it must not hide the scores."""
    try:
        return how(record)
    except RecordError as error:
        problems[str(error)] = None
        return empty


def _panel_figure(number: int, name: str, record: Record, panel: Panel) -> PanelFigure:
    shown = panel.items[:MAX_MOLECULES]
    return PanelFigure(
        number=number,
        name=name,
        task=record.cell.task,
        title=panel.title,
        kind=panel.kind,
        molecules=tuple(Molecule(item.smiles, item.caption, draw(item.smiles)) for item in shown),
        left_out=len(panel.items) - len(shown),
    )


def _controls(
    matrix: Matrix, table: SuiteTable, problems: dict[str, None]
) -> dict[tuple[str, str, str], list[tuple[int, tuple[Aim, ...]]]]:
    """Task, property and unit to the lines of its figure."""
    found: dict[tuple[str, str, str], list[tuple[int, tuple[Aim, ...]]]] = defaultdict(list)
    for number, record in _first_seeds(matrix, table, CONTROL):
        for name, control in _read(property_control, record, {}, problems).items():
            found[record.cell.task, name, control.unit].append((number, control.points))
    return dict(sorted(found.items()))


def _control_figure(task: str, name: str, unit: str, lines: list[tuple[int, tuple[Aim, ...]]]) -> Figure:
    title = f"{task}: {name}"
    return Figure(title, plots.targets(lines, f"{title}, achieved against target", unit))
