"""The curves of long trainings of a result folder, as one picture: what its table, which has the ends, cannot show."""

from __future__ import annotations

from ..figures.curve_plots import CurvePlot, Points
from ..records.links import by_link
from ..records.record import Record
from ..tables.dataframe import newest
from .headlines import measure_of, spoken
from .reading import Reading

FEWEST = 8
"""Points of a curve that is drawn; fewer say hardly more than the table."""


def long_trainings(reading: Reading) -> CurvePlot | None:
    """Scores on the validation part by the tokens trained on, of the task with most such rows, two at least.

    Of a row its longest training is drawn, of the lowest seed.
    """
    found: dict[tuple[str, str], dict[str, Points]] = {}
    for record in sorted(newest(reading.records)[0], key=lambda record: record.cell.seed):
        name = f"val {str(record.main_metric).replace('_', ' ')} by tokens"
        if record.status != "ok" or not by_link(record.curves, name):
            continue
        *_, curve = by_link(reading.whole(record).curves, name).values()
        rows = found.setdefault((spoken(record.cell.task), _measure(record)), {})
        if len(curve) >= FEWEST and len(curve) > len(rows.get(record.cell.label, ())):
            rows[record.cell.label] = curve
    (task, measured), rows = max(found.items(), key=lambda item: len(item[1]), default=(("", ""), {}))
    if len(rows) < 2:
        return None
    return CurvePlot(task, "tokens trained on", f"{measured}, validation part", rows)


def _measure(record: Record) -> str:
    metric = record.metrics[str(record.main_metric)]
    return measure_of(str(record.main_metric), metric.unit, metric.higher_is_better)
