"""Mixtures of data sets whose weights move: weights, distances and loads by round, CV^2 against quality, overhead.

It reads the curves of a record (`reports/mixing/curves.py`) and the main metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..figures.mixing_figures import Mixed, by_round, cv2_against_quality, overview
from ..figures.plots import MAX_MARKS
from ..mixing.curves import from_curves, is_of_mixing
from ..records.record import Record, RecordError
from .panel import Content, Entry, Panel, more

MAX_DRAWN = 3
"""Trainings that are drawn round by round."""
LEGEND = (
    "One seed. Weight: the probability with which the next row comes from a data set. Distance: how far a data set's "
    "load is from those of the others, or how much its loss exceeds the reference, whichever the strategy looks at. "
    "Loads are measured on held-out rows in evaluation; padding does not count. CV²: squared coefficient of variation "
    "of the load of all data sets together, 0 when it is even. Updates: CPU time of all measurements and updates. "
    "MT-Bench and AlpacaEval: n/a, both need a language model as judge."
)


class DataMixingPanel(Panel[Mixed]):
    """All trainings in one figure, the first ones round by round."""

    key = "data_mixing"

    def entry(self, record: Record) -> Any:
        """The curves of the mixture and the main metric. Raises KeyError where there are none."""
        curves = {name: points for name, points in record.curves.items() if is_of_mixing(name)}
        if not curves:
            raise KeyError(self.key)
        return curves, record.main_metric, record.metrics.get(record.main_metric or "")

    def parse(self, value: Any) -> Mixed:
        """What one record says. Raises `RecordError` for one without curves of a mixture."""
        curves, name, metric = value
        mixing = from_curves(curves)
        if mixing is None:
            raise RecordError("there are no curves of a mixture")
        return Mixed(mixing, name or "", metric)

    def show(self, entries: Sequence[Entry[Mixed]]) -> Content | None:
        """The trainings of all rows and tasks."""
        lines = [replace(entry, name=f"{entry.name} · {entry.task}") for entry in entries]
        if not lines:
            return None
        figures = [overview(lines), *cv2_against_quality(lines)]
        for line in lines[:MAX_DRAWN]:
            figures += by_round(line)
        said = more(len(lines) - MAX_DRAWN, "trainings are not drawn round by round")
        said += more(len(lines) - MAX_MARKS, "are in the records")
        return Content("Data mixing", tuple(figures), legend=LEGEND + said)


PANEL = DataMixingPanel()
