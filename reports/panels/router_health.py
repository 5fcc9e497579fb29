"""Whether the experts share the work: worst expert, dead experts, entropy by layer; routers over training; speed.

It reads `details["router_health"]` (its form: `reports/routers/health.py`) or, where a task keeps none, what the last
method noted; the curves over training; the training costs with `details["product_rate"]`, also of rows without a
mixture, for the comparison of speed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..figures.plots import MAX_MARKS
from ..figures.router_figures import Line, Seen, by_layer, over_training, overview
from ..records.record import Record, RecordError, TrainingCosts
from ..routers.health import KEY, ON_CALIBRATION, PRODUCT_RATE, from_details, is_of_routers
from .panel import Content, Entry, Panel, by_link, more

MAX_LAYERED = 4
"""Rows that are drawn by layer."""
LEGEND = (
    "One seed; on the text that is scored, outside of the language tasks on the calibration data. Worst expert: the "
    "tokens of the busiest expert over those of the mean one, 1 when all get as many. Dead: experts that no token of "
    "any domain chose. Entropy of the load, in per cent of that of an even load. CV²: squared coefficient of "
    "variation of the load, 0 when it is even. Means over layers and domains; bands: from the lowest to the highest "
    "domain; dashed: an even load. Over training: the entropy of a token's router softmax on held-out text over the "
    "greatest, 1 for a router that chooses by chance; the fraction of a step's choices that would be the same without "
    "noise, and of the choices on held-out text that the model before training made as well; by chance both are K of "
    "N. Tokens per second of training, evaluations and checkpoints included; product rate: the operations of the "
    "training per second over those of a large matrix product, of the same type of numbers and on as many threads, on "
    "the same machine."
)


class RouterHealthPanel(Panel[Seen]):
    """A figure of all rows, figures by layer of the first ones, and curves over training."""

    key = KEY

    def entry(self, record: Record) -> Any:
        """The entries of `details`, the curves and the training costs that the panel reads. Raises KeyError without
        any.
        """
        curves = {name: points for name, points in record.curves.items() if is_of_routers(name)}
        # The last link's model is the one that was scored.
        known = [*by_link(record.details, ON_CALIBRATION).values()][-1:]
        if KEY in record.details:
            known = [record.details[KEY]]
        if not known and PRODUCT_RATE not in record.details and not curves:
            raise KeyError(KEY)
        return known, record.details.get(PRODUCT_RATE), record.training, curves

    def parse(self, value: Any) -> Seen:
        """What one record says."""
        known, rate, training, curves = value
        tokens_per_second, fraction = _speed(training, rate)
        health = from_details(known[0]) if known else None
        return Seen(health, training is not None, tokens_per_second, fraction, curves)

    def show(self, entries: Sequence[Entry[Seen]]) -> Content | None:
        """Nothing without a mixture; else rows without one are there for their speed."""
        lines = _lines(entries)
        routed = [line for line in lines if line.value.health is not None]
        figures = over_training(lines)
        if routed:
            figures = [overview(routed, lines), *(by_layer(line) for line in routed[:MAX_LAYERED]), *figures]
        if not figures:
            return None
        said = more(len(routed) - MAX_LAYERED, "rows have a mixture and are not drawn by layer")
        said += more(len(lines) - MAX_MARKS, "rows are in the records")
        return Content("Router health", tuple(figures), legend=LEGEND + said)


def _speed(training: TrainingCosts | None, rate: Any) -> tuple[float | None, float | None]:
    """Tokens per second, and the fraction of the product rate."""
    if rate is not None and not 0 < rate < math.inf:
        raise RecordError(f"{PRODUCT_RATE} is {rate!r}, not a positive number")
    if training is None or not training.seconds:
        return None, None
    tokens_per_second = training.tokens / training.seconds if training.tokens else None
    fraction = training.flops / training.seconds / rate if training.flops and rate else None
    return tokens_per_second, fraction


def _lines(entries: Sequence[Entry[Seen]]) -> list[Line]:
    """Where nothing was trained, the tasks of a row (bits per byte of one domain each, say) are of one model."""
    found: dict[tuple[int, str], Line] = {}
    for entry in entries:
        line = entry
        place = entry.number, ""
        if entry.value.trained:
            line = replace(entry, name=f"{entry.name} · {entry.task}")
            place = entry.number, entry.task
        found[place] = _merged(found[place], line) if place in found else line
    return list(found.values())


def _merged(known: Line, other: Line) -> Line:
    """The domains of both; a health of another form than the first is not of that model."""
    first = known.value.health
    second = other.value.health
    if first is None:
        return other
    if second is None or first.form != second.form:
        return known
    health = replace(first, domains={**first.domains, **second.domains})
    return replace(known, value=replace(known.value, health=health))


PANEL = RouterHealthPanel()
