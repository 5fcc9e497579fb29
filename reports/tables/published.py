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

MISSING = "–"


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
class PublishedTable:
    """The figures of one source: `values` has one row of texts per method, "–" where nothing was published.

    A column is a task and a metric; a task with several metrics has as many columns.
    """

    source: str
    notes: tuple[str, ...]
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    methods: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]


@cache
def published() -> tuple[Published, ...]:
    """All published figures, in the order of the files."""
    figures = []
    for file in sorted((Path(__file__).parents[1] / "published").glob("*.csv")):
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            value = float(row.pop("value"))
            figures.append(Published(**row, value=value))
    return tuple(figures)


def published_tables(suite: str) -> list[PublishedTable]:
    """One table per source for the figures of a suite."""
    by_source: dict[str, list[Published]] = {}
    for figure in published():
        if figure.suite == suite:
            by_source.setdefault(figure.source, []).append(figure)
    return [pivot(source, figures) for source, figures in by_source.items()]


def same_name(ours: str, theirs: str) -> bool:
    """Whether two names mean one task or metric, by letters and digits: "arc_easy" is "ARC-Easy", a "(%)" no part."""
    return _plain(ours) == _plain(theirs)


def pivot(source: str, figures: Sequence[Published]) -> PublishedTable:
    """One row per method, one column per task and metric, all values of a column with as many digits."""
    value: dict[tuple[str, str], dict[str, float]] = {}
    for figure in figures:
        value.setdefault((figure.task, figure.metric), {})[figure.method] = figure.value
    digits = {column: max(map(_digits, found.values())) for column, found in value.items()}
    tasks, metrics = zip(*value, strict=True)
    methods = _distinct(figures, "method")
    rows = []
    for method in methods:
        texts = (_text(found.get(method), digits[column]) for column, found in value.items())
        rows.append(tuple(texts))
    return PublishedTable(
        source=source,
        notes=tuple(_note(note, figures) for note in _distinct(figures, "note") if note),
        tasks=tasks,
        metrics=metrics,
        methods=methods,
        values=tuple(rows),
    )


def _digits(value: float) -> int:
    return len(f"{value:g}".partition(".")[2])


def _text(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


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
