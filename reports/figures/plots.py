"""Figures as SVG text: small, deterministic, without a background, in the text colour of the page around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .svg import GRID, INK, canvas, empty_figure, label_width, short

# Okabe & Ito 2008, distinguished by all common kinds of colour vision; black excluded because of dark pages.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
MAX_MARKS = 16
"""Rows that are drawn in one figure; the table has them all."""
_LIGHT = ("#CC79A7", "#E69F00", "#56B4E9")
_DASHED: Any = {"linestyle": (0, (3, 2)), "linewidth": 1}


@dataclass(frozen=True)
class Mark:
    """One method in a figure: its number in the table, where it stands, and how far its interval reaches below and
    above, if known."""

    number: int
    name: str
    value: float
    sides: tuple[float, float] | None = None
    cost: float = 0.0


@dataclass(frozen=True)
class Aim:
    """What was wanted and what came out: the mean or median, and the quartiles."""

    target: float
    achieved: float
    low: float
    high: float


def colour(number: int) -> str:
    """The colour of a row's number, the same in every figure and in the table."""
    return PALETTE[(number - 1) % len(PALETTE)]


def ink_on(number: int) -> str:
    """The colour of the row's number on its own colour."""
    return "#111111" if colour(number) in _LIGHT else "#ffffff"


def pareto(marks: Sequence[Mark], higher_is_better: bool = True) -> list[Mark]:
    """The marks that no other beats in quality at the same or a lower cost, from the cheapest on."""
    sign = -1 if higher_is_better else 1
    front: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (m.cost, sign * m.value)):
        if not front or sign * mark.value < sign * front[-1].value:
            front.append(mark)
    return front


def tradeoff(marks: Sequence[Mark], title: str, cost_label: str, value_label: str, higher_is_better: bool) -> str:
    """Quality against one cost, with the Pareto front as a stepped line; marks carry the row numbers of the table."""
    marks = [mark for mark in marks if mark.cost > 0][:MAX_MARKS]
    with canvas((4.4, 3.3), title) as (axes, svg):
        costs = [mark.cost for mark in marks]
        if marks and max(costs) > 5 * min(costs):
            axes.set_xscale("log")
        front = pareto(marks, higher_is_better)
        x, y = [m.cost for m in front], [m.value for m in front]
        axes.step(x, y, where="post", color=GRID, linewidth=1.6, linestyle=(0, (4, 2)), zorder=1)
        for mark in reversed(marks):
            _spot(axes, mark, mark.number in {m.number for m in front})
        axes.set_xlabel(cost_label)
        axes.set_ylabel(value_label)
        axes.margins(0.12)
    return svg[0]


def bars(marks: Sequence[Mark], title: str, value_label: str, chance: float | None = None) -> str:
    """One task: a horizontal bar from zero per method, with its interval; the dashed line is chance."""
    marks = list(marks)[:MAX_MARKS]
    labels = [f"{mark.number}  {short(mark.name, 24)}" for mark in marks]
    with canvas((4.4, 0.65 + 0.3 * len(marks)), title, left=label_width(labels)) as (axes, svg):
        places = range(len(marks))
        reach = list(zip(*(mark.sides or (0.0, 0.0) for mark in marks), strict=True))
        error = {"ecolor": INK, "capsize": 2.5, "elinewidth": 1, "capthick": 1}
        colours = [colour(mark.number) for mark in marks]
        values = [mark.value for mark in marks]
        axes.barh(places, values, xerr=reach, color=colours, alpha=0.85, height=0.68, error_kw=error)
        if chance is not None:
            axes.axvline(chance, color=INK, **_DASHED)
        axes.set_yticks(places, labels)
        axes.set_ylim(-0.6, len(marks) - 0.4)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(value_label)
    return svg[0]


def curves(lines: Sequence[tuple[Mark, Sequence[tuple[float, float]]]], title: str, value_label: str) -> str:
    """Training curves, one line per method, its number at the end; a name "y by x" says what the axes are."""
    value_label, _, step_label = value_label.partition(" by ")
    with canvas((4.4, 3.0), title) as (axes, svg):
        for mark, points in lines:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=colour(mark.number), linewidth=1.5)
            axes.annotate(str(mark.number), (x[-1], y[-1]), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_xlabel(step_label or "step")
        axes.set_ylabel(value_label)
    return svg[0]


def targets(lines: Sequence[tuple[int, Sequence[Aim]]], title: str, unit: str) -> str:
    """Achieved against wanted, one line per row number with its quartiles as bars; on the dashed line they are equal.

    Rows are shifted a little against each other, so that their bars do not cover each other.
    """
    wanted = [aim.target for _, aims in lines for aim in aims]
    step = 0.012 * (max(wanted, default=0.0) - min(wanted, default=0.0))
    with canvas((4.4, 3.3), title) as (axes, svg):
        axes.plot(*[[min(wanted, default=0.0), max(wanted, default=1.0)]] * 2, color=INK, **_DASHED)
        for place, (number, aims) in enumerate(lines):
            shift = step * (place - (len(lines) - 1) / 2)
            x, y = [aim.target + shift for aim in aims], [aim.achieved for aim in aims]
            axes.plot(x, y, color=colour(number), linewidth=1.5, marker="o", markersize=4)
            axes.vlines(x, [aim.low for aim in aims], [aim.high for aim in aims], color=colour(number), linewidth=1)
            axes.annotate(str(number), (x[-1], y[-1]), (6, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_xlabel(f"target ({unit})" if unit else "target")
        axes.set_ylabel(f"achieved ({unit})" if unit else "achieved")
    return svg[0]


def speed_ratios(lines: Sequence[tuple[str, float]], title: str) -> str:
    """How many times as fast as the peer, per benchmark; the line at 1 is the peer."""
    labels = [short(name, 30) for name, _ in lines]
    with canvas((4.4, 0.65 + 0.3 * len(lines)), title, left=label_width(labels)) as (axes, svg):
        places = range(len(lines))
        ratios = [ratio for _, ratio in lines]
        axes.barh(places, ratios, color=[PALETTE[2] if r >= 1 else PALETTE[1] for r in ratios], height=0.68, alpha=0.85)
        for place, ratio in zip(places, ratios, strict=True):
            axes.annotate(f"{ratio:.2f}×", (ratio, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
        axes.axvline(1.0, color=INK, **_DASHED)
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.15)
        axes.set_xlabel("times as fast as the peer")
    return svg[0]


def heat_maps(
    panels: Mapping[str, Sequence[Sequence[float]]], layers: Sequence[int], title: str, *, down: str = "layer"
) -> str:
    """One panel per domain: layer (or what `down` says) down, expert across, colour the load against an even one (1),
    cut at 2."""
    size, left, gap = (4.4, 2.75), 0.5, 0.07
    width = (size[0] - left - 0.65) / max(1, len(panels)) - gap
    with empty_figure(size, title) as (figure, svg):
        image = None
        for number, (name, rows) in enumerate(panels.items()):
            place = ((left + number * (width + gap)) / size[0], 0.5 / size[1], width / size[0], 1.6 / size[1])
            axes = figure.add_axes(place)
            values = [[fraction * len(row) for fraction in row] for row in rows]
            image = axes.imshow(values, cmap="PuOr_r", vmin=0, vmax=2, aspect="auto", interpolation="none")
            axes.grid(visible=False)
            axes.set_title(name, fontsize=7, rotation=35, ha="left", loc="left", pad=2)
            axes.set_xticks([0, len(rows[0]) - 1])
            axes.tick_params(labelsize=6, length=2, pad=1)
            ticks = range(0, len(layers), max(1, len(layers) // 6))
            axes.set_yticks(list(ticks), [str(layers[tick]) for tick in ticks] if number == 0 else [""] * len(ticks))
            if number == 0:
                axes.set_ylabel(down, fontsize=8)
        figure.text(0.5, 0.07, "expert", ha="center", fontsize=8)
        if image is not None:
            place = ((size[0] - 0.55) / size[0], 0.5 / size[1], 0.09 / size[0], 1.6 / size[1])
            scale = figure.colorbar(image, cax=figure.add_axes(place), ticks=[0, 1, 2])
            scale.ax.set_yticklabels(["0", "even", "2×"], fontsize=6)
    return svg[0]


def _spot(axes: Any, mark: Mark, on_front: bool) -> None:
    alpha = 1.0 if on_front else 0.7
    axes.errorbar(
        *([mark.cost], [mark.value]),
        yerr=None if mark.sides is None else [[side] for side in mark.sides],
        color=colour(mark.number),
        marker="o",
        markersize=13,
        markeredgecolor=INK if on_front else "none",
        markeredgewidth=1.2,
        elinewidth=1.3,
        capsize=3,
        alpha=alpha,
        zorder=3 if on_front else 2,
    )
    axes.annotate(
        str(mark.number),
        (mark.cost, mark.value),
        ha="center",
        va="center_baseline",
        color="white",
        fontsize=8,
        zorder=4,
    )
