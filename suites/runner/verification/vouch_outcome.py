"""What a cell that was run again says of its record: four outcomes, for each of its scores and in all.

equal      all bits.
rounding   nothing was trained, on another type of processor or with other libraries, and less than 1e-9 apart.
undecided  on another type of processor: something was trained, and less than 1e-5 apart; or the cell is of bfloat16; or
           something was trained, on a processor of another maker or an accelerator.
outside    anything else, another status included.

What is judged is the value of each score, and the columns that the record's examples have. A standard error is said of
a score, and later code may know more of it (which examples were cut from one document): where the scores hold and it
is another one, that is noted.

Products of bfloat16 are other instructions on each type of processor, which sum in an order and a precision of their
own: of 146 cells that moved from one type to another, 20 came out equal. So no distance decides there. Neither does one
where something was trained on a processor of another maker: from an Intel to an AMD the same code moved accuracies by
0.005, while trainings came back to the last bit from one family of AMD to the next.

Distances are relative to the larger number. 1e-9 is far above what double precision leaves of a sum (1e-16 for each
term) and far below what any change of a computation in single precision would give (6e-8 for one rounding).

A training multiplies its roundings, and nothing bounds by how much; so no distance says that only the processor is
another. 1e-5 is where the two have been seen to part: the largest distance that a processor is thought to have made was
4e-6, the smallest of a change of the code 2e-5. Nothing hangs on the exact figure, since "undecided" does not let a
code path hold: only a machine of the record's own type does. It only keeps what is probably rounding from being called
outside.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sparsebench.reports.records.record import Metric, Record
from sparsebench.reports.records.vouchers import WORST_FIRST, Outcome

from ..identity.device import recorded_device
from .own_examples import Columns

ROUNDING = 1e-9
SMALL = 1e-5
EXAMPLES = "examples"
"""Named like a score: whether each example came out as it did then."""


@dataclass(frozen=True)
class Found:
    """The worst outcome, and by score: its outcome, and the numbers then and now of those that are not equal."""

    worst: Outcome
    reason: str = ""
    metrics: Mapping[str, Outcome] = field(default_factory=dict)
    numbers: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    other_errors: bool = False
    """Whether a score has another standard error now."""


def compare(record: Record, again: Record, then: Columns | None, now: Columns | None, libraries: bool) -> Found:
    """A record with what its cell gave now.

    Args:
        record: what was kept.
        again: what the cell gave.
        then: the examples of the record.
        now: those of the cell.
        libraries: whether any library is another.
    """
    if record.status != again.status:
        return Found("outside", f"{record.status} then, {again.status} now: {again.reason}")
    near = _near(record, again, libraries)
    metrics: dict[str, Outcome] = {}
    numbers: dict[str, tuple[float | None, float | None]] = {}
    for name in sorted(record.metrics.keys() | again.metrics.keys()):
        before, after = record.metrics.get(name), again.metrics.get(name)
        metrics[name] = near(_metric_distance(before, after))
        if metrics[name] != "equal":
            numbers[name] = _value(before), _value(after)
    if then is not None and now is not None:
        metrics[EXAMPLES] = near(_distance(dict(then), {name: now[name] for name in then if name in now}))
    return Found(worst(metrics), "", metrics, numbers, _other_errors(record, again))


def worst(metrics: Mapping[str, Outcome]) -> Outcome:
    """Of several outcomes; equal where there is none."""
    for outcome in WORST_FIRST:
        if outcome in metrics.values():
            return outcome
    return "equal"


def processor_type_differs(record: Record, again: Record) -> bool:
    """Whether the processors may round in their own ways; so they may where the record does not say its type."""
    return _other_device(record, again) or _processor_type(record) != _processor_type(again)


def _other_maker(record: Record, again: Record) -> bool:
    """Whether another maker's processor, or another device, was at work; the maker is the first word of the type."""
    then, now = (_processor_type(one).partition(" ")[0] for one in (record, again))
    return _other_device(record, again) or then != now


def _other_device(record: Record, again: Record) -> bool:
    """Whether another kind of device was at work, or nobody knows what processor."""
    if record.environment.get("processor_type") is None or recorded_device(record) != recorded_device(again):
        return True
    return record.environment.get("accelerator") != again.environment.get("accelerator")


def _processor_type(record: Record) -> str:
    return str(record.environment.get("processor_type"))


def _near(record: Record, again: Record, libraries: bool) -> Any:
    """From a distance to its outcome."""
    trained = record.training is not None or again.training is not None
    elsewhere = processor_type_differs(record, again)
    no_bound = record.cell.dtype == "bfloat16" or (trained and _other_maker(record, again))

    def outcome(distance: float) -> Outcome:
        if distance == 0:
            return "equal"
        if not trained and (elsewhere or libraries) and distance < ROUNDING:
            return "rounding"
        if elsewhere and no_bound and distance < float("inf"):
            return "undecided"
        if elsewhere and trained and distance < SMALL:
            return "undecided"
        return "outside"

    return outcome


def _metric_distance(then: Metric | None, now: Metric | None) -> float:
    """Of the values; number of examples, chance, unit and direction must be the same."""
    if then is None or now is None:
        return float("inf")
    if dataclasses.replace(then, value=now.value, stderr=now.stderr) != now:
        return float("inf")
    return _distance(then.value, now.value)


def _other_errors(record: Record, again: Record) -> bool:
    """Beyond what rounding does to one."""
    errors = [
        _distance(metric.stderr, again.metrics[name].stderr)
        for name, metric in record.metrics.items()
        if name in again.metrics
    ]
    return max(errors, default=0.0) >= ROUNDING


def _distance(then: Any, now: Any) -> float:
    """The largest relative difference of two numbers, or of all in two lists or mappings; none is as far as can be.

    Whole numbers count something or name a class (right or wrong, the predicted label): two that differ are 1 apart.
    """
    if then == now:
        return 0.0
    if isinstance(then, int) and isinstance(now, int):
        return 1.0
    if isinstance(then, float) and isinstance(now, float):
        return abs(then - now) / max(abs(then), abs(now))
    if isinstance(then, list | tuple) and isinstance(now, list | tuple) and len(then) == len(now):
        return max(map(_distance, then, now))
    if isinstance(then, dict) and isinstance(now, dict) and then.keys() == now.keys():
        return max(_distance(then[name], now[name]) for name in then)
    return float("inf")


def _value(metric: Metric | None) -> float | None:
    return None if metric is None else metric.value
