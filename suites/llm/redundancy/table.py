"""The table of predictors: how far off each is for mixtures that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .prediction import Errors, Point, leave_out

HEAD = (
    "| cut | predicted from | error, as a factor | by how much less than trivially | left out: origins |",
    "| --- | --- | ---: | ---: | ---: |",
)


def to_markdown(points: Mapping[str, Sequence[Point]]) -> str:
    """One row for each kind of cut and predictor: the trivial one, all measures together, each measure alone.

    Args:
        points: by kind of cut.

    Returns:
        Markdown. The column at the end leaves out all mixtures of one origin together; it is empty with fewer than
        three origins.
    """
    lines = [*_told(points), *HEAD]
    for kind, members in points.items():
        names = sorted(members[0].measures)
        rows: list[tuple[str, Sequence[str]]] = [("the mean of the others", ()), ("all measures", names)]
        rows += [(name, (name,)) for name in names]
        for label, used in rows:
            errors = leave_out(members, used)
            gain = f"{errors.gain:+.2f} [{_interval(errors.gain, errors.gain_half_width)}]" if used else "–"
            lines.append(f"| {kind} | {label} | {_factor(errors)} | {gain} | {_by_origin(members, used)} |")
    return "\n".join(lines) + "\n"


def _told(points: Mapping[str, Sequence[Point]]) -> list[str]:
    every = [point for members in points.values() for point in members]
    mixtures = sorted({point.mixture for point in every})
    origins = {point.origin for point in every}
    layers = next(iter(points.values()))
    return [
        "# Is it known beforehand what REAP costs?",
        "",
        f"{len(mixtures)} mixtures of {len(origins)} origins ({'; '.join(mixtures)}), {len(layers)} layers. Losses in "
        "bits per byte on the test halves of seven domains, after experts went by REAP, in one layer alone or in all; "
        "errors are of the logarithm, for a mixture that nothing was learnt from, with 95 % intervals over mixtures "
        "(Student). The predictor that was meant beforehand is `all measures`; single ones are there to be read, and "
        "the best of them is the best of many. Mixtures of one origin are no independent ones: the last column leaves "
        "out an origin whole.",
        "",
    ]


def _factor(errors: Errors) -> str:
    low, high = (math.exp(max(0.0, errors.error + sign * errors.half_width)) for sign in (-1, 1))
    return f"{math.exp(errors.error):.2f} [{low:.2f}, {high:.2f}]"


def _interval(value: float, half_width: float) -> str:
    return f"{value - half_width:+.2f}, {value + half_width:+.2f}"


def _by_origin(points: Sequence[Point], names: Sequence[str]) -> str:
    if len({point.origin for point in points}) < 3:
        return ""
    return _factor(leave_out(points, names, by="origin"))
