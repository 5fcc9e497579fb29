"""What the one picture of all suites shows: per suite and baseline the tasks that most rows were run on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..figures.dot_plots import Dot, DotPlot, Kind
from ..statistics import Outcome
from ..tables import formatting
from ..tables.comparison import contrasts
from ..tables.matrix import Matrix, Row
from ..tables.suite_entries import Family
from ..tables.suite_table import SuiteInfo

MAX_DOTS = 12
"""Rows of one plot, the best first; the baselines are among them."""


@dataclass(frozen=True)
class SuiteOverview:
    """The plots of one suite."""

    title: str
    plots: tuple[DotPlot, ...]


def overview(matrices: Sequence[Matrix], infos: Mapping[str, SuiteInfo]) -> list[SuiteOverview]:
    """The plots of every suite that is presented; those of several result folders stand together."""
    plots: dict[str, list[DotPlot]] = {}
    for matrix in matrices:
        if matrix.suite in infos:
            info = infos[matrix.suite]
            found = plots.setdefault(info.title, [])
            for family in _families(matrix, info):
                found.append(_plot(matrix, info, family))
    return [SuiteOverview(title, tuple(found)) for title, found in plots.items()]


def _families(matrix: Matrix, info: SuiteInfo) -> list[Family]:
    """The family of each baseline that most rows have; of several the first."""
    chosen: dict[str, Family] = {}
    for family in info.families(matrix):
        known = chosen.get(family.baseline)
        rows = len(_complete(matrix, family))
        # A row alone has nothing to be compared with.
        if rows > 1 and (known is None or rows > len(_complete(matrix, known))):
            chosen[family.baseline] = family
    return list(chosen.values())


def _complete(matrix: Matrix, family: Family) -> list[Row]:
    return [row for row in matrix.rows if matrix.complete(row, family.columns)]


def _plot(matrix: Matrix, info: SuiteInfo, family: Family) -> DotPlot:
    first = family.columns[0]
    compared = [contrast for contrast in contrasts(matrix, info) if contrast.family == family.name]
    outcomes: dict[Row, Outcome] = {contrast.row: contrast.outcome for contrast in compared}
    rows = _complete(matrix, family)
    backbones = Counter(row.backbone for row in rows)
    usual, _ = backbones.most_common(1)[0]
    dots = [_dot(matrix, info, family, row, outcomes.get(row), usual) for row in rows]
    dots.sort(key=lambda dot: dot.value.mean, reverse=first.higher_is_better)
    return DotPlot(
        title=f"{_title(family)} · {usual}",
        higher_is_better=first.higher_is_better,
        dots=_shown(dots),
    )


def _shown(dots: Sequence[Dot]) -> tuple[Dot, ...]:
    """The first ones and, wherever they stand, all baselines: nothing else can be read without them."""
    baselines = sum(dot.kind == "baseline" for dot in dots)
    room = MAX_DOTS - baselines
    shown = []
    for dot in dots:
        if dot.kind == "baseline":
            shown.append(dot)
        elif room > 0:
            shown.append(dot)
            room -= 1
    return tuple(shown)


def _title(family: Family) -> str:
    """The task and the unit of its scores, or "mean accuracy (%) of 4 tasks"."""
    first = family.columns[0]
    measure = formatting.shown_unit(first.unit) or first.metric
    if measure == "%":
        measure = f"{first.metric} (%)"
    if len(family.columns) > 1:
        return f"mean {measure} of {len(family.columns)} tasks"
    return f"{first.task}, {measure}"


def _dot(
    matrix: Matrix, info: SuiteInfo, family: Family, row: Row, outcome: Outcome | None, usual_backbone: str
) -> Dot:
    name = row.label
    if row.backbone != usual_backbone:
        name += f" · {row.backbone}"
    role = info.role(matrix, row)
    kind: Kind = outcome or "not comparable"
    if role != "method":  # then the role says more than how the row fares against the baseline
        kind = role
    mean = matrix.mean(row, family.columns)
    return Dot(name, kind, mean.scaled(formatting.scale(family.columns[0].unit)), _active(matrix, row))


def _active(matrix: Matrix, row: Row) -> float | None:
    return matrix.cost(row, lambda costs: costs.params_active)
