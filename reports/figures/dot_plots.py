"""One picture of several small dot plots, as an SVG file for a light or a dark page.

Each row has its name, its dot with the interval, and a bar for what it costs in columns of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..statistics import Estimate, Outcome
from ..tables import formatting
from .svg import SMALL, Axis, Theme, axis, document, line, text

Kind = Literal["baseline", "control", "ceiling"] | Outcome
COLUMN = 410
"""Width of one plot in points; the picture has one or two columns of them."""
GAP = 20
NAME = 212
PLOT = 112
BAR = 28
ROW = 17
TITLE = 20
HEAD = 37
FOOT = 24
NAME_LENGTH = 34
TITLE_LENGTH = 56
LEGEND: tuple[tuple[Kind, str], ...] = (
    ("baseline", "baseline"),
    ("better", "better, paired test"),
    ("worse", "worse, paired test"),
    ("undecided", "undecided"),
    ("one seed", "one seed"),
    ("equivalent", "equivalent"),
    ("not comparable", "not comparable"),
    ("control", "control"),
    ("ceiling", "ceiling"),
)
KEY_ROW = 18


@dataclass(frozen=True)
class Dot:
    """One row: its score with the interval, what it is or came to against the baseline, and its active parameters."""

    name: str
    kind: Kind
    value: Estimate
    cost: float | None


@dataclass(frozen=True)
class DotPlot:
    """Rows that were run on the same tasks: what was found, and what they were run on."""

    found: str
    title: str
    higher_is_better: bool
    dots: tuple[Dot, ...]

    @property
    def height(self) -> float:
        """Points, the space below included."""
        return HEAD + ROW * len(self.dots) + FOOT


def draw_overview(suites: Sequence[tuple[str, Sequence[DotPlot]]], theme: Theme, columns: int) -> str:
    """The picture of several suites, each a title and its plots; a suite stays in one column."""
    heights = [0.0] * columns
    elements: list[str] = []
    for title, plots in suites:
        column = heights.index(min(heights))
        left = column * (COLUMN + GAP)
        for number, plot in enumerate(plots):
            if number == 0:
                elements.append(text(left, heights[column] + 13, title, theme.ink, 'font-weight="600" font-size="14"'))
                heights[column] += TITLE
            elements += _plot(plot, left, heights[column], theme)
            heights[column] += plot.height
    width = columns * (COLUMN + GAP) - GAP
    key, key_height = _legend(theme, width, max(heights))
    elements += key
    title = "Scores with 95 % intervals and active parameters"
    return document(title, width, max(heights) + key_height, elements)


def _plot(plot: DotPlot, left: float, top: float, theme: Theme) -> Iterator[str]:
    """Heading, axis, and the rows."""
    scale = _axis(plot, left + NAME)
    yield text(left, top + 12, short(plot.found, TITLE_LENGTH), theme.ink, 'font-weight="600"')
    yield text(left, top + 28, short(plot.title, TITLE_LENGTH), theme.soft)
    yield text(left + COLUMN, top + 28, "active", theme.soft, 'text-anchor="end"')
    bottom = top + HEAD + ROW * len(plot.dots)
    yield from _ticks(scale, top + HEAD, bottom, plot.higher_is_better, theme)
    baselines = [dot for dot in plot.dots if dot.kind == "baseline"]
    if len(baselines) == 1:
        x = scale.place(baselines[0].value.mean)
        yield line(x, top + HEAD, x, bottom, theme.ink, 'stroke-dasharray="3 3" stroke-opacity="0.6"')
    dearest = max((dot.cost or 0.0 for dot in plot.dots), default=0.0)
    for number, dot in enumerate(plot.dots):
        yield from _row(dot, scale, left, top + HEAD + ROW * (number + 0.5), dearest, theme)


def _axis(plot: DotPlot, left: float) -> Axis:
    """It holds all means and their intervals; one that is wider than all means together is cut at the edge."""
    means = [dot.value.mean for dot in plot.dots]
    spread = max(means) - min(means)
    low = min(means)
    high = max(means)
    for value in (dot.value for dot in plot.dots):
        if value.low is not None and value.high is not None:
            low = min(low, max(value.low, value.mean - spread))
            high = max(high, min(value.high, value.mean + spread))
    return axis(low, high, left, PLOT, plot.higher_is_better)


def _ticks(scale: Axis, top: float, bottom: float, higher_is_better: bool, theme: Theme) -> Iterator[str]:
    for tick in scale.ticks():
        x = scale.place(tick)
        yield line(x, top, x, bottom, theme.line)
        yield text(x, bottom + 12, f"{tick:g}", theme.soft, f'text-anchor="middle" {SMALL}')
    better = "higher is better →" if higher_is_better else "lower is better →"
    yield text(scale.start - 10, bottom + 12, better, theme.soft, f'text-anchor="end" {SMALL}')


def _row(dot: Dot, scale: Axis, left: float, y: float, dearest: float, theme: Theme) -> Iterator[str]:
    colour = theme.soft if dot.kind in ("control", "ceiling") else theme.ink
    yield text(left, y + 4, short(dot.name, NAME_LENGTH), colour)
    if dot.value.low is not None and dot.value.high is not None:
        ends = scale.place(dot.value.low), scale.place(dot.value.high)
        yield line(*(ends[0], y, ends[1], y), _stroke(dot.kind, theme), 'stroke-width="1.6"')
    yield _mark(dot.kind, scale.place(dot.value.mean), y, theme)
    if dot.cost and dearest:
        right = left + COLUMN
        width = max(1.0, BAR * dot.cost / dearest)
        start = right - 46 - BAR
        place = f'x="{start:.1f}" y="{y - 3:.1f}" width="{width:.1f}" height="6"'
        yield f'<rect {place} fill="{theme.soft}" opacity="0.55"/>'
        yield text(right, y + 4, formatting.count(dot.cost), theme.soft, f'text-anchor="end" {SMALL}')


def _stroke(kind: Kind, theme: Theme) -> str:
    colours = {"better": theme.better, "worse": theme.worse, "control": theme.soft, "ceiling": theme.soft}
    return colours.get(kind, theme.ink)


def _mark(kind: Kind, x: float, y: float, theme: Theme) -> str:
    """The form says it, too: nobody has to distinguish the colours. A mark with a hole hides the interval behind it."""
    stroke = _stroke(kind, theme)
    hole = f'fill="{theme.line}" stroke="{stroke}" stroke-width="1.6"'
    if kind == "baseline":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{stroke}"/>'
    if kind == "control":
        return f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z" {hole}/>'
    if kind == "not comparable":
        return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{stroke}"/>'
    if kind == "worse":
        return f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" stroke="{stroke}" stroke-width="2.4"/>'
    if kind == "ceiling":
        return f'<path d="M{x:.1f} {y + 5:.1f}l5 -9h-10z" {hole}/>'
    if kind in ("equivalent", "identical"):
        return f'<path d="M{x - 5:.1f} {y - 2.2:.1f}h10m0 4.4h-10" stroke="{stroke}" stroke-width="2"/>'
    if kind == "one seed":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{stroke}"/>'
    if kind == "undecided":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.2" {hole}/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.8" fill="{stroke}"/>'


def _legend(theme: Theme, width: float, top: float) -> tuple[list[str], float]:
    """What the marks mean, in as many lines as the width asks for, and the height of them."""
    elements = []
    x = 6.0
    y = top + 12
    for kind, words in LEGEND:
        room = 26 + 6.4 * len(words)
        if x + room > width:
            x = 6.0
            y += KEY_ROW
        elements.append(_mark(kind, x, y, theme))
        elements.append(text(x + 10, y + 4, words, theme.soft))
        x += room
    return elements, y + 12 - top


def short(name: str, length: int) -> str:
    """The name, cut to a length."""
    return name if len(name) <= length else name[: length - 1] + "…"
