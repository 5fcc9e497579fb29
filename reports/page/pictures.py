"""What the pictures of `RESULTS.md` show.

The one of all suites: for each baseline of a suite the tasks that most rows were run on. Of a result folder: the curves
of its long trainings, of which its table has the ends alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..figures.curve_plots import CurvePlot, Points
from ..figures.dot_plots import Dot, DotPlot
from ..records.links import by_link
from ..records.record import Record
from ..tables import formatting
from ..tables.brief import ACTIVE, Brief, BriefLine
from ..tables.dataframe import newest
from .headlines import Headline, measure_of, spoken
from .reading import Reading

MAX_DOTS = 12
"""Rows of one plot, the best first; the baselines are among them."""
FEWEST = 8
"""Points of a curve that is drawn; fewer say hardly more than the table."""


def overview(headlines: Iterable[Headline]) -> list[DotPlot]:
    """For each baseline of a suite the track with the most complete rows; a row alone has nothing to compare with."""
    chosen: dict[tuple[str, ...], Headline] = {}
    for one in headlines:
        known = chosen.get(one.brief.family.baselines)
        rows = len(_complete(one.brief))
        if rows > 1 and (known is None or rows > len(_complete(known.brief))):
            chosen[one.brief.family.baselines] = one
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
        kind = "not comparable" if one.contrast is None else one.contrast.difference.outcome
    assert one.score.estimate is not None
    return Dot(name, kind, one.score.estimate.scaled(formatting.scale(unit)), one.line.costs[ACTIVE])


def long_trainings(reading: Reading) -> CurvePlot | None:
    """Scores on the validation part by the tokens trained on, of the task with most such rows, two at least.

    Of a row its longest training is drawn, of the lowest seed.
    """
    found: dict[tuple[str, str], dict[str, Points]] = {}
    for record in sorted(newest(reading.records)[0], key=lambda record: record.cell.seed):
        name = f"val {str(record.main_metric).replace('_', ' ')} by tokens"
        if record.status != "ok" or not by_link(record.curves, name):
            continue
        *_, curve = by_link(reading.whole(record).curves, name).values()
        rows = found.setdefault((spoken(record.cell.task), _measured(record)), {})
        if len(curve) >= FEWEST and len(curve) > len(rows.get(record.cell.label, ())):
            rows[record.cell.label] = curve
    (task, measured), rows = max(found.items(), key=lambda item: len(item[1]), default=(("", ""), {}))
    if len(rows) < 2:
        return None
    return CurvePlot(task, "tokens trained on", f"{measured}, validation part", rows)


def _measured(record: Record) -> str:
    metric = record.metrics[str(record.main_metric)]
    return measure_of(str(record.main_metric), metric.unit, metric.higher_is_better)
