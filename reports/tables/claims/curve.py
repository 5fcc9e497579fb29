"""Curves of trainings as scores: a claim about all of a training is one about each point of a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...records.links import by_link
from ...records.record import Metric, Record


def curve_of(record: Record, name: str) -> list[tuple[float, float]]:
    """The (step, value) points of a curve, of a chain those of its last link that has it; none without it.

    Args:
        record: a whole record.
        name: of the curve, without the number of the link.
    """
    found = by_link(record.curves, name)
    return [(step, value) for step, value in found[max(found)]] if found else []


def at_each_step(records: Sequence[Record], name: str) -> dict[float, list[Record]]:
    """The records at each step of a curve, with its value there as their one metric, by the name of the curve.

    Args:
        records: whole ones; those that failed are at every step, as they are.
        name: of the curve.

    Returns:
        By step, in order, of the steps that every record has that went well.

    Raises:
        LookupError: there is none.
    """
    curves = {record.id: dict(curve_of(record, name)) for record in records if record.status == "ok"}
    common = set.intersection(*map(set, curves.values())) if curves else set()
    if not common:
        raise LookupError(f"the records have no common point of a curve {name!r}")
    return {step: [_at(record, name, curves, step) for record in records] for step in sorted(common)}


def _at(record: Record, name: str, curves: Mapping[str, Mapping[float, float]], step: float) -> Record:
    if record.id not in curves:
        return record
    value = curves[record.id][step]
    metric = Metric(value=value, higher_is_better=False, unit="")
    return replace(record, metrics={name: metric}, main_metric=name, examples=None)
