"""One picture of several small dot plots, as an SVG file for a light or a dark page.

Written by hand, not by a plotting library, so that the file is small, the same on every machine, and free of overlaps:
each row has its name, its dot with the interval, and a bar for what it costs in columns of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from ..statistics import Estimate, Outcome
from ..tables import formatting

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
SIZE = 12
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
MAX_TICKS = 5
MARGIN = 0.06
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """Colours of a picture."""

    ink: str
    soft: str
    line: str
    better: str
    worse: str


THEMES = {
    "light": Theme(ink="#1f2328", soft="#59636e", line="#d1d9e0", better="#0969da", worse="#bc4c00"),
    "dark": Theme(ink="#f0f6fc", soft="#9198a1", line="#3d444d", better="#4493f8", worse="#f0883e"),
}


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


@dataclass(frozen=True)
class Axis:
    """A horizontal axis on which better lies to the right, from `left` on and `width` points wide."""

    low: float
    high: float
    left: float
    width: float
    higher_is_better: bool

    def place(self, value: float) -> float:
        """The x coordinate of a value; one outside the range stands at its end."""
        fraction = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + (fraction if self.higher_is_better else 1 - fraction) * self.width

    def ticks(self) -> list[float]:
        """At most `MAX_TICKS` round numbers within the range."""
        for exponent in range(math.floor(math.log10(self.high - self.low)) - 1, 400):
            for factor in (1, 2, 5):
                step = factor * 10.0**exponent
                first = math.ceil(self.low / step)
                last = math.floor(self.high / step)
                if last - first < MAX_TICKS:
                    return [round(number * step, 12) for number in range(first, last + 1)]
        raise AssertionError("unreachable: a step as large as the range leaves two ticks at most")


def axis(low: float, high: float, left: float, width: float, higher_is_better: bool) -> Axis:
    """An axis from `low` to `high`, with a margin at both ends."""
    room = MARGIN * (high - low) or 0.5
    return Axis(low - room, high + room, left, width, higher_is_better)


def draw_overview(suites: Sequence[tuple[str, Sequence[DotPlot]]], theme: Theme, columns: int) -> str:
    """The picture of several suites, each a title and its plots; a suite stays in one column."""
    heights = [0.0] * columns
    elements: list[str] = []
    for title, plots in suites:
        column = heights.index(min(heights))
        left = column * (COLUMN + GAP)
        for number, plot in enumerate(plots):
            if number == 0:
                elements.append(_text(left, heights[column] + 13, title, theme.ink, 'font-weight="600" font-size="14"'))
                heights[column] += TITLE
            elements += _plot(plot, left, heights[column], theme)
            heights[column] += plot.height
    width = columns * (COLUMN + GAP) - GAP
    key, key_height = _legend(theme, width, max(heights))
    elements += key
    size = f'width="{width}" height="{max(heights) + key_height:g}" viewBox="0 0 {width} {max(heights) + key_height:g}"'
    body = "\n".join(elements)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" font-size="{SIZE}">\n'
        f"<title>Scores with 95 % intervals and active parameters</title>\n{body}\n</svg>\n"
    )


def _plot(plot: DotPlot, left: float, top: float, theme: Theme) -> Iterator[str]:
    """Heading, axis, and the rows."""
    scale = _axis(plot, left + NAME)
    yield _text(left, top + 12, short(plot.found, TITLE_LENGTH), theme.ink, 'font-weight="600"')
    yield _text(left, top + 28, short(plot.title, TITLE_LENGTH), theme.soft)
    yield _text(left + COLUMN, top + 28, "active", theme.soft, 'text-anchor="end"')
    bottom = top + HEAD + ROW * len(plot.dots)
    yield from _ticks(scale, top + HEAD, bottom, plot.higher_is_better, theme)
    baselines = [dot for dot in plot.dots if dot.kind == "baseline"]
    if len(baselines) == 1:
        x = scale.place(baselines[0].value.mean)
        yield _line(x, top + HEAD, x, bottom, theme.ink, 'stroke-dasharray="3 3" stroke-opacity="0.6"')
    dearest = max((dot.cost or 0.0 for dot in plot.dots), default=0.0)
    for number, dot in enumerate(plot.dots):
        yield from _row(dot, scale, left, top + HEAD + ROW * (number + 0.5), dearest, theme)


def _axis(plot: DotPlot, left: float) -> Axis:
    """It holds all means and their intervals; one that is wider than all means together is cut at the edge."""
    means = [dot.value.mean for dot in plot.dots]
    spread = max(means) - min(means)
    low = min(means)
    high = max(means)
    for dot in plot.dots:
        below, above = (min(side, spread) for side in dot.value.sides or (0.0, 0.0))
        high = max(high, dot.value.mean + above)
        low = min(low, dot.value.mean - below)
    return axis(low, high, left, PLOT, plot.higher_is_better)


def _ticks(scale: Axis, top: float, bottom: float, higher_is_better: bool, theme: Theme) -> Iterator[str]:
    for tick in scale.ticks():
        x = scale.place(tick)
        yield _line(x, top, x, bottom, theme.line)
        yield _text(x, bottom + 12, f"{tick:g}", theme.soft, 'text-anchor="middle" font-size="10.5"')
    better = "higher is better →" if higher_is_better else "lower is better →"
    yield _text(scale.left - 10, bottom + 12, better, theme.soft, 'text-anchor="end" font-size="10.5"')


def _row(dot: Dot, scale: Axis, left: float, y: float, dearest: float, theme: Theme) -> Iterator[str]:
    colour = theme.soft if dot.kind in ("control", "ceiling") else theme.ink
    yield _text(left, y + 4, short(dot.name, NAME_LENGTH), colour)
    if dot.value.low is not None and dot.value.high is not None:
        ends = scale.place(dot.value.low), scale.place(dot.value.high)
        yield _line(*(ends[0], y, ends[1], y), _stroke(dot.kind, theme), 'stroke-width="1.6"')
    yield _mark(dot.kind, scale.place(dot.value.mean), y, theme)
    if dot.cost and dearest:
        right = left + COLUMN
        width = max(1.0, BAR * dot.cost / dearest)
        start = right - 46 - BAR
        place = f'x="{start:.1f}" y="{y - 3:.1f}" width="{width:.1f}" height="6"'
        yield f'<rect {place} fill="{theme.soft}" opacity="0.55"/>'
        yield _text(right, y + 4, formatting.count(dot.cost), theme.soft, 'text-anchor="end" font-size="10.5"')


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
        elements.append(_text(x + 10, y + 4, words, theme.soft))
        x += room
    return elements, y + 12 - top


def _text(x: float, y: float, words: str, colour: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" {more}>{escape(words)}</text>'.replace(" >", ">")


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    line = f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'
    return line.replace(" />", "/>")


def short(name: str, length: int) -> str:
    """The name, cut to a length."""
    return name if len(name) <= length else name[: length - 1] + "…"
