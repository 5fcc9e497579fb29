"""Figures over the layers of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..routers.health import Spread
from .plots import PALETTE
from .svg import INK, empty_figure

_SIZE = (4.4, 3.7)
_LEFT = 0.72
_PLACES = ((2.45, 1.1), (1.2, 1.1), (0.5, 0.55))
"""Bottom and height of each of the three parts, in inches."""


@dataclass(frozen=True)
class LayerMark:
    """One layer: its number, the worst expert (times the mean load), the entropy (per cent of an even load's), and how
    many experts are dead."""

    layer: int
    worst: Spread
    entropy: Spread
    dead: int


def router_health(parts: Mapping[str, Sequence[LayerMark]], title: str) -> str:
    """Worst expert, entropy and dead experts by layer; a line for each part of the model ("FFN", "attention").

    The band behind a line goes from the lowest to the highest domain; the dashed line is an even load.
    """
    with empty_figure(_SIZE, title) as (figure, svg):
        upper, middle, lower = (_axes(figure, parts, *place) for place in _PLACES)
        for number, (name, marks) in enumerate(parts.items()):
            colour = PALETTE[number % len(PALETTE)]
            _line(upper, marks, [mark.worst for mark in marks], colour, name)
            _line(middle, marks, [mark.entropy for mark in marks], colour, name)
            lower.bar([mark.layer for mark in marks], [mark.dead for mark in marks], color=colour, alpha=0.85)
        _even(upper, 1.0)
        _even(middle, 100.0)
        upper.set_ylabel("worst ÷ mean", fontsize=8)
        middle.set_ylabel("entropy, %", fontsize=8)
        lower.set_ylabel("dead", fontsize=8)
        lower.set_xlabel("layer")
        lower.yaxis.set_major_locator(_integers(3))
        lower.set_ylim(0, max(1.0, lower.get_ylim()[1]))
        if len(parts) > 1:
            upper.legend(fontsize=7, loc="upper right", ncols=len(parts))
    return svg[0]


def _axes(figure: Any, parts: Mapping[str, Sequence[LayerMark]], bottom: float, height: float) -> Any:
    """Axes over all layers of all parts, the same in each."""
    width, whole = _SIZE
    layers = [mark.layer for marks in parts.values() for mark in marks]
    axes = figure.add_axes((_LEFT / width, bottom / whole, (width - _LEFT - 0.15) / width, height / whole))
    axes.tick_params(labelsize=8)
    axes.set_xlim(min(layers) - 0.6, max(layers) + 0.6)
    axes.xaxis.set_major_locator(_integers(8))
    return axes


def _line(axes: Any, marks: Sequence[LayerMark], values: Sequence[Spread], colour: str, name: str) -> None:
    layers = [mark.layer for mark in marks]
    lows = [value.low for value in values]
    highs = [value.high for value in values]
    means = [value.mean for value in values]
    axes.fill_between(layers, lows, highs, color=colour, alpha=0.25, linewidth=0)
    axes.plot(layers, means, color=colour, linewidth=1.5, marker="o", markersize=3, label=name)


def _even(axes: Any, level: float) -> None:
    """The line of an even load; the layers are named under the lowest axes."""
    axes.axhline(level, color=INK, linestyle=(0, (3, 2)), linewidth=1)
    axes.tick_params(labelbottom=False)


def _integers(bins: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=bins, integer=True)
