"""Figures that other people published, each with its source; never mixed with what was run here.

They lie in `reports/published/*.csv` with the columns suite, method, backbone, task, metric, value, source, note. Only
figures that somebody has read in the paper, its abstract, its README or its result files belong there.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..statistics import Estimate
from . import formatting

MISSING = "–"
PAPER = "paper"
"""Whose the published rows are."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published figure, in the unit that `metric` names."""

    suite: str
    method: str
    backbone: str
    task: str
    metric: str
    value: float
    source: str
    note: str


@dataclass(frozen=True)
class Shown:
    """A score of ours with its interval, as it is printed and as numbers in the printed unit."""

    estimate: Estimate
    unit: str

    @property
    def text(self) -> str:
        """Mean ± half width."""
        return formatting.estimate(self.estimate, self.unit)

    def numbers(self) -> dict[str, float | str | None]:
        """For programs."""
        found = self.estimate.scaled(formatting.scale(self.unit))
        return {"value": found.mean, "low": found.low, "high": found.high, "unit": formatting.shown_unit(self.unit)}


@dataclass(frozen=True)
class Line:
    """One row: whose it is, what it is called, and a published text or a score of ours for each column."""

    who: str
    name: str
    values: tuple[str | Shown | None, ...]

    @property
    def texts(self) -> list[str]:
        """What is printed."""
        return [value.text if isinstance(value, Shown) else value or MISSING for value in self.values]


@dataclass(frozen=True)
class SideBySide:
    """The figures of one source, and what was run here of them. `columns` are pairs of task and metric."""

    source: str
    columns: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


@cache
def published() -> tuple[Published, ...]:
    """All published figures, in the order of the files."""
    figures = []
    for file in sorted((Path(__file__).parents[1] / "published").glob("*.csv")):
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            value = float(row.pop("value"))
            figures.append(Published(**row, value=value))
    return tuple(figures)


def published_tables(suite: str) -> list[SideBySide]:
    """One table per source for the figures of a suite."""
    by_source: dict[str, list[Published]] = {}
    for figure in published():
        if figure.suite == suite:
            by_source.setdefault(figure.source, []).append(figure)
    return [pivot(source, figures) for source, figures in by_source.items()]


def same_name(ours: str, theirs: str) -> bool:
    """Whether two names mean one task or metric, by letters and digits: "arc_easy" is "ARC-Easy", a "(%)" no part."""
    return _plain(ours) == _plain(theirs)


def pivot(source: str, figures: Sequence[Published]) -> SideBySide:
    """One row per method, one column per task and metric, all values of a column with as many digits."""
    value: dict[tuple[str, str], dict[str, float]] = {}
    for figure in figures:
        value.setdefault((figure.task, figure.metric), {})[figure.method] = figure.value
    lines = []
    for method in _distinct(figures, "method"):
        texts = []
        for found in value.values():
            digits = max(len(f"{one:g}".partition(".")[2]) for one in found.values())
            texts.append(f"{found[method]:.{digits}f}" if method in found else MISSING)
        lines.append(Line(PAPER, method, tuple(texts)))
    notes = tuple(_note(note, figures) for note in _distinct(figures, "note") if note)
    return SideBySide(source, tuple(value), tuple(lines), notes)


def _note(note: str, figures: Sequence[Published]) -> str:
    """The note, and the tasks that it is about unless these are most of them."""
    tasks = _distinct([figure for figure in figures if figure.note == note], "task")
    if 2 * len(tasks) > len(_distinct(figures, "task")):
        return note
    return f"{note}: {', '.join(tasks)}"


def _distinct(figures: Sequence[Published], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(getattr(figure, name) for figure in figures))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
