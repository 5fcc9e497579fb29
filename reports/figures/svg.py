"""What the pictures of a repository's page are made of: SVG files that stand alone, for a light or a dark page.

Written by hand, not by a plotting library, so that a file is small, the same on every machine, and free of overlaps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

SIZE = 12
SMALL = 'font-size="10.5"'
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
class Axis:
    """An axis from the coordinate `start` on, `length` points long; high values lie at its end if it is `rising`."""

    low: float
    high: float
    start: float
    length: float
    rising: bool

    def place(self, value: float) -> float:
        """The coordinate of a value; one outside the range stands at its end."""
        fraction = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + (fraction if self.rising else 1 - fraction) * self.length

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


def axis(low: float, high: float, start: float, length: float, rising: bool) -> Axis:
    """An axis from `low` to `high`, with a margin at both ends."""
    room = MARGIN * (high - low) or 0.5
    return Axis(low - room, high + room, start, length, rising)


def document(title: str, width: float, height: float, elements: Iterable[str]) -> str:
    """The file, from what it shows; the title is for those who hear it."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    body = "\n".join(elements)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" font-size="{SIZE}">\n'
        f"<title>{escape(title)}</title>\n{body}\n</svg>\n"
    )


def text(x: float, y: float, words: str, colour: str, more: str = "") -> str:
    """Words that begin at a place, or as `more` says, further attributes."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" {more}>{escape(words)}</text>'.replace(" >", ">")


def line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    """A straight line."""
    drawn = f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'
    return drawn.replace(" />", "/>")
