"""What the one picture of all suites shows: per suite and baseline the tasks that most rows were run on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..figures.dot_plots import Dot, DotPlot
from ..tables import formatting
from ..tables.brief import ACTIVE, Brief, BriefLine
from .headlines import Headline

MAX_DOTS = 12
"""Rows of one plot, the best first; the baselines are among them."""


def overview(headlines: Iterable[Headline]) -> list[DotPlot]:
    """For each baseline of a suite the track with the most complete rows; a row alone has nothing to compare with."""
    chosen: dict[str, Headline] = {}
    for one in headlines:
        known = chosen.get(one.brief.family.baseline)
        rows = len(_complete(one.brief))
        if rows > 1 and (known is None or rows > len(_complete(known.brief))):
            chosen[one.brief.family.baseline] = one
    return [_plot(one) for one in chosen.values()]


def _complete(brief: Brief) -> list[BriefLine]:
    """The rows with a score on all tasks."""
    return [one for one in brief.lines if one.score.kind == "value" and not one.tasks]


def _plot(headline: Headline) -> DotPlot:
    brief = headline.brief
    lines = _complete(brief)
    (usual, _), *_ = Counter(one.line.row.backbone for one in lines).most_common(1)
    dots = [_dot(one, brief.first.unit, usual) for one in lines]
    dots.sort(key=lambda dot: dot.value.mean, reverse=brief.first.higher_is_better)
    return DotPlot(
        found=headline.found.title,
        title=f"{_title(brief)} · {usual}",
        higher_is_better=brief.first.higher_is_better,
        dots=_shown(dots),
    )


def _shown(dots: Sequence[Dot]) -> tuple[Dot, ...]:
    """The first ones and, wherever they stand, all baselines: nothing else can be read without them."""
    baselines = [dot for dot in dots if dot.kind == "baseline"]
    others = [dot for dot in dots if dot.kind != "baseline"][: max(0, MAX_DOTS - len(baselines))]
    return tuple(dot for dot in dots if dot in (*baselines, *others))


def _title(brief: Brief) -> str:
    """The task and the unit of its scores, or "mean accuracy (%) of 4 tasks"."""
    first = brief.first
    measure = formatting.shown_unit(first.unit) or first.metric
    if measure == "%":
        measure = f"{first.metric} (%)"
    tasks = len(brief.family.columns)
    return f"mean {measure} of {tasks} tasks" if tasks > 1 else f"{first.task}, {measure}"


def _dot(one: BriefLine, unit: str, usual_backbone: str) -> Dot:
    """A role but "method" says more than how the row fares against the baseline."""
    row = one.line.row
    name = row.label if row.backbone == usual_backbone else f"{row.label} · {row.backbone}"
    kind = one.line.role
    if kind == "method":
        kind = "not comparable" if one.contrast is None else one.contrast.outcome
    assert one.score.estimate is not None
    return Dot(name, kind, one.score.estimate.scaled(formatting.scale(unit)), one.line.costs[ACTIVE])
