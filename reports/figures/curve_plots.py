"""One picture of curves over the same axis, as an SVG file for a light or a dark page; each line ends with its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..tables import formatting
from .svg import SMALL, Axis, Theme, axis, document, line, text

Points = Sequence[tuple[float, float]]
WIDTH = 410
HEIGHT = 250
TOP = 40
LEFT = 34
NAMES = 122
"""Points to the right of the lines."""
FOOT = 34
APART = 14
"""Points between two names."""


@dataclass(frozen=True)
class CurvePlot:
    """Curves by the names of their rows, and what the axes say."""

    title: str
    across: str
    up: str
    curves: dict[str, Points]


def draw_curves(plot: CurvePlot, theme: Theme) -> str:
    """The picture. Raises ValueError without a point."""
    points = [point for curve in plot.curves.values() for point in curve]
    xs, ys = zip(*points, strict=True)
    x_axis = axis(min(xs), max(xs), LEFT, WIDTH - LEFT - NAMES, rising=True)
    y_axis = axis(min(ys), max(ys), TOP, HEIGHT - TOP - FOOT, rising=False)
    elements = [
        text(0, 12, plot.title, theme.ink, 'font-weight="600"'),
        text(0, 28, plot.up, theme.soft),
        *_ticks(x_axis, y_axis, theme),
        text(x_axis.start + x_axis.length, HEIGHT - 4, plot.across, theme.soft, f'text-anchor="end" {SMALL}'),
    ]
    last = TOP - APART
    for name, curve in sorted(plot.curves.items(), key=lambda item: y_axis.place(item[1][-1][1])):
        places = [(x_axis.place(x), y_axis.place(y)) for x, y in curve]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        elements.append(f'<polyline points="{joined}" fill="none" stroke="{theme.better}" stroke-width="2"/>')
        last = max(places[-1][1], last + APART)
        elements.append(text(places[-1][0] + 6, last + 4, name, theme.ink))
    return document(f"{plot.title}: {plot.up}", WIDTH, HEIGHT, elements)


def _ticks(x_axis: Axis, y_axis: Axis, theme: Theme) -> Iterator[str]:
    bottom = y_axis.start + y_axis.length
    for tick in y_axis.ticks():
        y = y_axis.place(tick)
        yield line(x_axis.start, y, x_axis.start + x_axis.length, y, theme.line)
        yield text(x_axis.start - 5, y + 4, f"{tick:g}", theme.soft, f'text-anchor="end" {SMALL}')
    for tick in x_axis.ticks():
        yield text(x_axis.place(tick), bottom + 14, formatting.count(tick), theme.soft, f'text-anchor="middle" {SMALL}')
