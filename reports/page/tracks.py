"""A track of the page: a task, or the tasks of a suite that are averaged, with all rows that ran there, as JSON values.

Scores and effects are in the units that are shown; every text beside a number was made by `tables.formatting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..statistics import Estimate
from ..tables import formatting
from ..tables import table_formats as printing
from ..tables.brief import Brief, BriefLine
from ..tables.comparison import Contrast
from ..tables.matrix import Row
from ..tables.suite_entries import entry_text
from ..tables.summary import best_line
from . import charts
from .headlines import Headline, measure, spoken, spoken_column
from .rows import pairs_of

if TYPE_CHECKING:
    from .section import Section

JsonRow = dict[str, Any]
MOST_SMALL = 14
"""Rows of a small plot on the front."""


def tracks(section: Section) -> list[dict[str, Any]]:
    """The tracks of one suite, in the order of its tasks."""
    numbers = {line.row: number for number, line in enumerate(section.table.lines)}
    return [_track(section, told, numbers) for told in section.headlines]


def _track(section: Section, told: Headline, numbers: Mapping[Row, int]) -> dict[str, Any]:
    brief = told.brief
    found = told.found
    family = brief.family
    best = best_line(section.matrix, brief)
    rows = [_row(section, brief, line, numbers) for line in brief.lines]
    # The largest gain first; a row without an effect last.
    rows.sort(key=lambda row: (row["effect"] is None, -(row["effect"] or 0.0)))
    margin = section.info.margins.get(brief.first.unit)
    scale = formatting.scale(brief.first.unit)
    shown_margin = None if margin is None else scale * margin
    axis = _axis(brief, rows)
    return {
        "id": told.track,
        "suite": section.anchor,
        "name": told.name,
        "title": found.title,
        "sentence": found.sentence,
        "others": found.others,
        "counts": found.counts,
        "measure": measure(brief.first),
        "best": None if best is None else numbers[best.line.row],
        "columns": [section.matrix.columns.index(column) for column in family.columns],
        "tasks": [{"name": spoken_column(column), "measure": measure(column)} for column in family.columns],
        "costs": list(section.table.cost_titles),
        "y": _usual_score(rows, len(family.columns)),
        "x": _usual_cost(rows, len(section.table.cost_titles)),
        "training": list(section.table.training_titles),
        "rows": rows,
        "small": charts.forest(small_rows(rows), axis, shown_margin, small=True),
        "forest": charts.forest(rows, axis, shown_margin),
        "scatter": charts.scatter(brief.first.higher_is_better),
        "pairs": pairs_of(section, brief, numbers),
    }


def small_rows(rows: Sequence[JsonRow]) -> list[JsonRow]:
    """The first rows that have an effect and, wherever they stand, all baselines: nothing can be read without them."""
    known = [row for row in rows if row["effect"] is not None]
    baselines = [row for row in known if row["role"] == "baseline"]
    first = [row for row in known if row["role"] != "baseline"][: max(0, MOST_SMALL - len(baselines))]
    keep = {row["i"] for row in [*baselines, *first]}
    fields = ("name", "role", "kind", "effect", "low", "high", "text")
    return [{field: row[field] for field in fields} for row in known if row["i"] in keep]


def _axis(brief: Brief, rows: Sequence[JsonRow]) -> str:
    names = list(dict.fromkeys(row["baseline"] for row in rows if row["baseline"]))
    baseline = names[0] if len(names) == 1 else "the baseline"
    points = formatting.points(brief.first.unit)
    return f"difference to {baseline}{f' ({points})' if points else ''}"


def _usual_score(rows: Sequence[JsonRow], tasks: int) -> str:
    """The mean, or the task that most rows ran on where most have no mean."""
    counted = {"score": 2 * sum(row["score"] is not None for row in rows)}
    for number in range(tasks if tasks > 1 else 0):
        counted[f"s{number}"] = sum(row[f"s{number}"] is not None for row in rows)
    return max(counted, key=lambda field: counted[field])


def _usual_cost(rows: Sequence[JsonRow], costs: int) -> str:
    """The first cost in which rows differ."""
    fields = (f"c{number}" for number in range(costs))
    return next((field for field in fields if len({row[field] for row in rows if row[field]}) > 1), "c0")


def _row(section: Section, brief: Brief, one: BriefLine, numbers: Mapping[Row, int]) -> JsonRow:
    line = one.line
    seeds = [len(section.matrix.scores(line.row, column)) for column in brief.family.columns]
    kind = line.role if line.role != "method" else "not comparable"
    if line.role == "method" and one.contrast is not None:
        kind = one.contrast.difference.outcome
    return {
        "i": numbers[line.row],
        "name": brief.name(line),
        "role": line.role,
        "kind": kind,
        "best": one.best,
        "seeds": max(seeds),
        "backbone": line.row.backbone,
        "other": section.outside.get(line.row, ""),
        **_score(one, brief.first.unit),
        **_effect(one.contrast, line.role),
        "against": numbers.get(one.contrast.baseline_row) if one.contrast else None,
        **_tasks(section, brief, one),
        **_costs(line.costs, printing.cost_texts(line.costs), "c"),
        **_costs(line.training, printing.training_texts(line.training), "t"),
    }


def _score(one: BriefLine, unit: str) -> JsonRow:
    return {
        "score": None if one.tasks else _mean(one.score.estimate, unit),
        "stext": entry_text(one.score, unit, {}),
        "alone": f"{' and '.join(map(spoken, one.tasks))} alone" if one.tasks else "",
        "why": one.score.reason or "",
    }


def _mean(found: Estimate | None, unit: str) -> float | None:
    """As it is shown."""
    return None if found is None else formatting.rounded(found.scaled(formatting.scale(unit)).mean)


def _effect(contrast: Contrast | None, role: str) -> JsonRow:
    if contrast is None:
        at_zero = 0.0 if role == "baseline" else None
        text = "baseline" if role == "baseline" else "–"
        words = {"text": text, "outcome": text, "p": None, "pt": "–", "covers": "", "baseline": ""}
        return {"effect": at_zero, "low": at_zero, "high": at_zero, **words}
    found = contrast.difference
    shown = found.estimate.scaled(formatting.scale(contrast.unit))
    mean = formatting.rounded(shown.mean)
    text = formatting.effect(found.estimate, contrast.unit)
    pairs = f"{found.pairs} pairs" + (f", {found.lost} lost" if found.lost else "")
    return {
        "effect": mean,
        # An end that nobody knows is the mean.
        "low": mean if shown.low is None else formatting.rounded(shown.low),
        "high": mean if shown.high is None else formatting.rounded(shown.high),
        "text": text,
        "outcome": formatting.outcome(found.outcome, found.margin, contrast.unit),
        "p": None if found.p is None else formatting.rounded(found.p),
        "pt": formatting.p_value(found.p),
        "covers": f"{found.reason or found.test}; over {found.estimate.covers}; {pairs}",
        "baseline": contrast.baseline,
    }


def _tasks(section: Section, brief: Brief, one: BriefLine) -> JsonRow:
    """The score on each task, where there are several."""
    if len(brief.family.columns) == 1:
        return {}
    entries = dict(zip(section.table.columns, one.line.entries, strict=True))
    found = {}
    for number, column in enumerate(brief.family.columns):
        found[f"s{number}"] = _mean(entries[column].estimate, column.unit)
        found[f"s{number}t"] = entry_text(entries[column], column.unit, {})
    return found


def _costs(values: Sequence[float | None], texts: Sequence[str], letter: str) -> JsonRow:
    found: JsonRow = {}
    for number, (value, text) in enumerate(zip(values, texts, strict=True)):
        found[f"{letter}{number}"] = None if value is None else formatting.rounded(value)
        found[f"{letter}{number}t"] = text
    return found
