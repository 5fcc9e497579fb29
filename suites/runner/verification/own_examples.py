"""What the examples of a record give: the scores that it names, and an interval for a score that is another one now.

The same examples are scored then and now, so that what can be said of a difference comes from the differences of each
example. The standard error of a score answers another question: what other examples would have given.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparsebench.reports.records.record import Record
from sparsebench.reports.statistics.examples import CLUSTER, ExampleScores, contributions, subtract
from sparsebench.reports.statistics.intervals import half_width
from sparsebench.reports.statistics.sampling import examples_error

Columns = Mapping[str, Sequence[Any]]
STRATA = ("domain", "group")
"""Columns whose values name parts of a score: `bits_per_byte law` is that of the examples whose domain is law."""
OF_ERRORS = ("rmse", "pearson")
LEVEL = 0.05
ROUNDINGS = 2.0**-20
"""Relative to what was rounded: outcomes are kept as float32 (2⁻²⁴ each), and some scores were reckoned in it, too."""
KEPT_DIGITS = 2.0**-23
"""What float32 can make of a difference: 2⁻²⁴ of each contribution, on either side."""


def contradiction(record: Record, columns: Columns | None) -> str:
    """Which score of a record its own examples do not give.

    Empty where they agree, have no form that says, or are not there: some studies are published without them.
    """
    if columns is None:
        return ""
    if record.examples is None:
        return "the folder has examples of it, but the record names none"
    for name, metric in record.metrics.items():
        found = _contributions(name, columns)
        if found is not None and abs(found.total() - metric.value) > ROUNDINGS * _size(name, found, columns):
            return f"{name} is {metric.value!r} in the record, {found.total()!r} by its own examples"
    return ""


def paired_half_width(name: str, then: Columns | None, now: Columns | None) -> tuple[float, str] | None:
    """Half the 95 % interval of a score's difference, from the differences of each example, and what it rests on.

    None where the score has no such form, or other examples were scored.
    """
    if then is None or now is None:
        return None
    before, after = _contributions(name, then), _contributions(name, now)
    difference = subtract(after, before)
    if before is None or difference is None:
        return None
    error = examples_error([difference])
    if error is None:
        return None
    half = half_width([error.whole], LEVEL) + KEPT_DIGITS * _mean_size(before)
    return half, f"95 % over the paired differences of {_units(difference)}"


def _contributions(name: str, columns: Columns) -> ExampleScores | None:
    """The contributions to a score, or to one whose last words name a part of the examples."""
    score, _, part = name.partition(" ")
    for column in STRATA:
        if part and part in columns.get(column, ()):
            rows = [row for row, value in enumerate(columns[column]) if value == part]
            some = {key: [values[row] for row in rows] for key, values in columns.items()}
            return contributions(score, some)
    return contributions(name, columns)


def _size(name: str, scores: ExampleScores, columns: Columns) -> float:
    """The size of the numbers whose rounding goes into a score; that of errors is the size of the predictions."""
    import numpy as np

    size = _mean_size(scores)
    if name in OF_ERRORS:
        size = max(size, float(np.abs(np.asarray(columns["prediction"], dtype=float)).max()))
    return size


def _mean_size(scores: ExampleScores) -> float:
    means = [abs(scores.values[scores.strata == number]).mean() for number in range(len(scores.weights))]
    return math.fsum(weight * mean for weight, mean in zip(scores.weights, means, strict=True))


def _units(scores: ExampleScores) -> str:
    text = f"{len(scores.values)} examples"
    if scores.clusters is not None:
        pairs = set(zip(scores.strata.tolist(), scores.clusters.tolist(), strict=True))
        text += f" in {len(pairs)} {CLUSTER}s"
    return text
