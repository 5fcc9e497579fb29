"""What a terminal and a program have room for: a row's score on a family of tasks, its outcome and two costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..records.html_table import html_table
from ..records.visible import visible
from ..statistics import Estimate
from . import formatting
from .comparison import Contrast
from .cost_columns import COSTS
from .matrix import Column, Row
from .suite_entries import RIVALS, Entry, Family, Line, SuiteTable, average_title, column_title, entry_text
from .terminal import OUTCOME_STYLES, plain_table

if TYPE_CHECKING:
    from rich.table import Table

ACTIVE = 0
LATENCY = len(COSTS)
"""Where the two costs stand among those of a line."""
Outcomes = Mapping[tuple[str, Row], Contrast]
"""By the name of a family and the row."""
TITLES = ("row", "score", "against the baseline", "active params", "latency")


@dataclass(frozen=True)
class BriefLine:
    """A row on one family of tasks; without `contrast` it is the baseline, or nothing could be compared.

    `tasks`: those that it has a score on, where these are not all of the family.
    """

    line: Line
    score: Entry
    contrast: Contrast | None
    tasks: tuple[str, ...] = ()

    @property
    def best(self) -> bool:
        """Whether it has the best score of the family; the best one of a task alone is none."""
        return self.score.best and not self.tasks


@dataclass(frozen=True)
class Brief:
    """The rows that were run on a family of tasks; of several tasks the score is their mean."""

    title: str
    family: Family
    lines: tuple[BriefLine, ...]

    @property
    def first(self) -> Column:
        """The column that says metric, unit and direction for all."""
        return self.family.columns[0]

    @property
    def shown_title(self) -> str:
        """The title, with the backbone that all rows share."""
        return " on ".join(filter(None, [self.title, *self.backbones])) if len(self.backbones) == 1 else self.title

    @cached_property
    def backbones(self) -> frozenset[str]:
        """Those of all rows."""
        return frozenset(one.line.row.backbone for one in self.lines)

    def name(self, line: Line) -> str:
        """The name of a row, without the backbone where all rows share it."""
        if len(self.backbones) > 1:
            return line.name
        return " · ".join(filter(None, [line.row.label, line.row.variant]))

    def texts(self) -> list[list[str]]:
        """What people read of each row under `TITLES`."""
        found = []
        for one in self.lines:
            name = self.name(one.line)
            if one.line.role not in RIVALS:
                name += f" ({one.line.role})"
            costs = formatting.count(one.line.costs[ACTIVE]), formatting.milliseconds(one.line.costs[LATENCY])
            found.append([visible(name), _score_text(one, self.first.unit), _outcome(one), *costs])
        return found

    def _repr_html_(self) -> str:
        """What a notebook shows: the rows, the best score bold."""
        rows = []
        for one, (name, score, *rest) in zip(self.lines, self.texts(), strict=True):
            rows.append([name, (score, one.best), *rest])
        return html_table(TITLES, rows, self.shown_title)


def briefs(table: SuiteTable, contrasts: Iterable[Contrast]) -> list[Brief]:
    """One for each family of tasks, with the rows that ran there; the order is that of the table.

    Args:
        table: of one suite.
        contrasts: its rows against their baselines.

    Returns:
        Families without a row are left out.
    """
    outcomes = {(contrast.family, contrast.row): contrast for contrast in contrasts}
    found = []
    for family in table.families:
        made = [_line(table, family, line, outcomes) for line in table.lines]
        lines = [one for one in made if one is not None]
        if lines:
            found.append(Brief(_title(table, family), family, tuple(lines)))
    return found


def _line(table: SuiteTable, family: Family, line: Line, outcomes: Outcomes) -> BriefLine | None:
    """A row that ran on one of the tasks at least."""
    entries = dict(zip(table.columns, line.entries, strict=True))
    members = {column: entries[column] for column in family.columns}
    if all(entry.kind in ("n/a", "missing") for entry in members.values()):
        return None
    scored = [column for column, entry in members.items() if entry.kind == "value"]
    partly = () if len(scored) == len(members) else tuple(column.task for column in scored)
    score = _score(table, family, line, members, scored)
    return BriefLine(line, score, outcomes.get((family.name, line.row)), partly)


def _score(
    table: SuiteTable, family: Family, line: Line, members: Mapping[Column, Entry], scored: Sequence[Column]
) -> Entry:
    """The mean over the family, or that of the one task with a score, or what kept the row from all of them."""
    if len(scored) == 1:
        return members[scored[0]]
    for average, entry in zip(table.averages, line.averages, strict=True):
        if average.columns == family.columns and not average.of_groups and entry.kind == "value":
            return entry
    broken = [entry for entry in members.values() if entry.kind not in ("value", "n/a", "missing")]
    return next(iter(broken), Entry(kind="missing", reason="not all tasks have a score"))


def _title(table: SuiteTable, family: Family) -> str:
    """ "Language: mean accuracy (%) ↑ of 3 tasks"."""
    if len(family.columns) == 1:
        return f"{table.title}: {column_title(family.columns[0])}"
    for average in table.averages:
        if average.columns == family.columns and not average.of_groups:
            return f"{table.title}: {average_title(average)} of {len(family.columns)} tasks"
    return f"{table.title}: {family.name}"


def to_terminal(brief: Brief, most: int) -> Table:
    """The first `most` rows, best bold, with what was left out below; a backbone that all share is in the title."""
    rows = []
    for one, (name, score, outcome, *costs) in zip(brief.lines[:most], brief.texts()[:most], strict=True):
        style = "bold" if one.best else "" if one.score.kind == "value" else "red"
        decided = "" if one.contrast is None else OUTCOME_STYLES.get(one.contrast.difference.outcome, "")
        rows.append([name, (score, style), (outcome, decided), *costs])
    left = len(brief.lines) - most
    return plain_table(
        TITLES,
        rows,
        right=("score", "active params", "latency"),
        title=visible(brief.shown_title),
        title_justify="left",
        caption=f"and {left} more rows: all are on the page" if left > 0 else None,
    )


def _score_text(one: BriefLine, unit: str) -> str:
    """ "42.0 ± 1.3", "84.8 ± 2.5 on digits alone", "on 2 tasks"."""
    text = entry_text(one.score, unit, {})
    if len(one.tasks) == 1:
        return f"{text} on {visible(one.tasks[0])} alone"
    return f"on {len(one.tasks)} tasks" if one.tasks else text


def _outcome(one: BriefLine) -> str:
    contrast = one.contrast
    if contrast is None:
        return one.line.role if one.line.role == "baseline" else "–"
    words = formatting.outcome(contrast.difference.outcome, contrast.difference.margin, contrast.unit)
    return words if contrast.tasks == one.tasks else f"{words}{contrast.alone}"


def to_document(brief: Brief) -> dict[str, Any]:
    """The same for a program: numbers as recorded, unrounded and unscaled."""
    return {
        "title": brief.title,
        "tasks": [f"{column.task}@{column.version}" for column in brief.family.columns],
        "metric": brief.first.metric,
        "unit": brief.first.unit,
        "higher_is_better": brief.first.higher_is_better,
        "rows": [_row_document(one) for one in brief.lines],
    }


def _row_document(one: BriefLine) -> dict[str, Any]:
    row: Row = one.line.row
    contrast = one.contrast
    score, low, high = _ends(one.score.estimate)
    difference, difference_low, difference_high = _ends(contrast and contrast.difference.estimate)
    return {
        "label": row.label,
        "backbone": row.backbone,
        "variant": row.variant,
        "role": one.line.role,
        "status": one.score.kind,
        "reason": one.score.reason,
        "only_on": list(one.tasks),
        "score": score,
        "low": low,
        "high": high,
        "covers": one.score.estimate and one.score.estimate.covers,
        "best": one.best,
        "baseline": contrast and contrast.baseline,
        "outcome": contrast and contrast.difference.outcome,
        "difference": difference,
        "difference_low": difference_low,
        "difference_high": difference_high,
        "active_parameters": one.line.costs[ACTIVE],
        "latency_ms": one.line.costs[LATENCY],
    }


def _ends(found: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if found is None else (found.mean, found.low, found.high)
