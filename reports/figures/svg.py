"""What every figure is drawn on: an empty figure of a size in inches that turns into SVG text for the page.

The SVG is deterministic, has no background, and takes font and text colour from the page around it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

INK = "#010203"
"""Stands for the text colour of the page while matplotlib draws."""
GRID = "#808080"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sparsebench",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # a $ in a label of somebody else's is a $
    **dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], INK),
}


@contextmanager
def canvas(size: tuple[float, float], title: str, left: float = 0.72) -> Iterator[tuple[Any, list[str]]]:
    """Axes to draw on, sizes and left margin in inches; when the block ends the SVG stands in the list.

    Margins are fixed because a layout engine draws every figure three times.
    """
    with empty_figure(size, title) as (figure, svg):
        width, height = size
        yield figure.add_axes((left / width, 0.5 / height, (width - left - 0.15) / width, (height - 0.6) / height)), svg


@contextmanager
def empty_figure(size: tuple[float, float], title: str) -> Iterator[tuple[Any, list[str]]]:
    """An empty figure of so many inches; when the block ends its SVG stands in the list.

    The title is for those who hear the page.
    """
    import matplotlib
    from matplotlib.figure import Figure

    svg: list[str] = []
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size)
        yield figure, svg
        _powers_of_ten(figure)
        buffer = io.StringIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the page draws the texts, in its own font
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg.append(_embeddable(buffer.getvalue(), title))


def _powers_of_ten(figure: Any) -> None:
    """Numbers at logarithmic axes are formulas of matplotlib's own."""
    for axes in figure.axes:
        for one in (axes.xaxis, axes.yaxis):
            for label in one.get_ticklabels(which="both") if one.get_scale() == "log" else ():
                label.set_parse_math(True)


def _embeddable(svg: str, title: str) -> str:
    """Only the <svg> element: as wide as its place allows, in the font and the text colour of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace("font-family: 'DejaVu Sans', sans-serif; ", "")
    svg = re.sub(r'<svg[^>]*viewBox="([^"]*)"[^>]*>', lambda found: opening(found[1], title), svg, count=1)
    return svg.replace(INK, "currentColor")


def opening(view_box: str, title: str) -> str:
    """The start tag of a picture that scales; the title is for those who hear the page."""
    return f'<svg viewBox="{view_box}" role="img" aria-label="{escape(title)}">'


def label_width(labels: Sequence[str]) -> float:
    """Inches that the longest label takes at the font size of the figures."""
    return 0.15 + 0.082 * max(map(len, labels), default=0)


def short(name: str, length: int) -> str:
    """The name, cut to a length."""
    return name if len(name) <= length else name[: length - 1] + "…"
