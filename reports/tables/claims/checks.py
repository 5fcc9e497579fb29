"""Whether the instrument of a claim works: what its checks say of the records."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...records.index.slim import Whole
from ...records.record import Record
from ...records.record_limits import RecordError
from ...routers.health import KEY, ON_CALIBRATION, from_details
from .claim import Check, Claim, ClaimVerdict
from .evidence import is_of
from .sides import curve_of

Verdict = Callable[[Claim], ClaimVerdict | None]


def failure(check: Check, claim: Claim, records: Sequence[Record], whole: Whole, verdict: Verdict) -> str:
    """Why a check fails, in words; empty where it does not.

    Args:
        check: the check.
        claim: the claim that it belongs to.
        records: all of the study.
        whole: gives a record with its details.
        verdict: what the records say of a claim; None where they are too few to say it.

    Returns:
        What was found, and what it means.
    """
    if check.kind == "stated":
        return check.reason
    if check.kind == "null row":
        return _of_null_row(check, claim, verdict)
    found = _measured(check, claim, records, whole)
    name = "router entropy" if check.kind == "routers" else check.metric
    if not found:
        return f"no record says {name}: {check.reason}"
    absent = [row for row in check.rows if row not in found]
    if absent:
        return f"no record says {name} of {', '.join(absent)}: {check.reason}"
    for row, value in found.items():
        if check.at_least is not None and value < check.at_least:
            return f"{name} {value:.3g} of {row}, below {check.at_least:g}: {check.reason}"
        if check.at_most is not None and value > check.at_most:
            return f"{name} {value:.3g} of {row}, above {check.at_most:g}: {check.reason}"
    return ""


def _of_null_row(check: Check, claim: Claim, verdict: Verdict) -> str:
    """Whether the claim holds with the null row in place of its first row, counted from that row's base."""
    null, first = check.rows[0], claim.rows[0]
    base = claim.base
    if first in base:
        base = {**base, null: base[first]}
    found = verdict(replace(claim, rows=(null, *claim.rows[1:]), base=base, checks=()))
    if found is None:
        return f"{null} cannot be judged in its place, too few of its seeds have a score: {check.reason}"
    if found == "holds":
        return f"{null} fulfils it as well: {check.reason}"
    return ""


def _measured(check: Check, claim: Claim, records: Sequence[Record], whole: Whole) -> dict[str, float]:
    """The mean over seeds and tasks of each row, of those that have a value."""
    rows = dict.fromkeys(check.rows or claim.rows)
    tasks = (check.task,) if check.task else claim.tasks
    # The budget of a claim is that of its own tasks: another one may be trained on for as long as it likes.
    meant = claim if set(tasks) <= set(claim.tasks) else replace(claim, budget={})
    values: dict[str, list[float]] = {}
    for row in rows:
        for record in records:
            if record.status != "ok" or not is_of(meant, record, (row,), tasks):
                continue
            value = _entropy(whole(record)) if check.kind == "routers" else _score(record, check.metric, whole)
            if value is not None:
                values.setdefault(row, []).append(value)
    return {row: math.fsum(given) / len(given) for row, given in values.items()}


def _score(record: Record, metric: str, whole: Whole) -> float | None:
    if metric in record.metrics:
        return record.metrics[metric].value
    points = curve_of(whole(record), metric)
    return points[-1][1] if points else None


def _entropy(record: Record) -> float | None:
    """The mean entropy of a token's router softmax, as a fraction of that of equal probabilities."""
    entry = record.details.get(KEY) or record.details.get(ON_CALIBRATION)
    try:
        health = from_details(entry)
    except (RecordError, LookupError, TypeError, ValueError, AttributeError):
        return None  # no entry, or one that somebody edited: then the check says that no record has it
    found = []
    for layers in health.domains.values():
        for numbers, experts in zip(layers, health.experts, strict=True):
            if numbers.token_entropy is not None and experts > 1:
                found.append(numbers.token_entropy / math.log(experts))
    return math.fsum(found) / len(found) if found else None
