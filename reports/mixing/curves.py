"""What a training on a mixture of data sets leaves in the curves of a record, by step.

"mixing weight <set>" and "mixing loss <set>": probability of a draw, and mean loss on held-out rows; "mixing delta
<set>": what the strategy made of them, a distance from the other sets or an excess loss; "mixing load <expert> <set>":
fraction of the set's choices in the last layer; "mixing cv2": squared coefficient of variation of the load of all sets
together, the mean over layers; "mixing overhead": CPU time of all updates so far over that of the training. In a record
of a chain the link stands before the name: "2. mixing cv2".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..records.links import split
from ..records.record_limits import RecordError

Curve = Sequence[tuple[float, float]]
PREFIX = "mixing "
CV2 = f"{PREFIX}cv2"
OVERHEAD = f"{PREFIX}overhead"
KINDS = ("weight", "loss", "delta")
"""Kinds of curves that each data set has one of."""
LOAD = "load"


def name_of(kind: str, data_set: str) -> str:
    """The name of a data set's curve of a kind."""
    return f"{PREFIX}{kind} {data_set}"


def load_name(expert: int, data_set: str) -> str:
    """The name of the curve of the fraction of a data set's choices that an expert gets."""
    return f"{PREFIX}{LOAD} {expert} {data_set}"


def is_of_mixing(name: str) -> bool:
    """Whether a curve is one of these."""
    return split(name)[1].startswith(PREFIX)


@dataclass
class Mixing:
    """The curves of one training, by data set in the order of the record."""

    weight: dict[str, Curve] = field(default_factory=dict)
    loss: dict[str, Curve] = field(default_factory=dict)
    delta: dict[str, Curve] = field(default_factory=dict)
    load: dict[str, dict[int, Curve]] = field(default_factory=dict)
    """By data set and expert."""
    cv2: Curve = ()
    overhead: Curve = ()


def from_curves(curves: Mapping[str, Curve]) -> Mixing:
    """What a record's curves say of the last link that mixed data sets.

    Raises:
        RecordError: no curve, one without a point, a number that is not finite, or weights that are no fractions.
    """
    links = {split(name)[0] for name in curves if is_of_mixing(name)}
    if not links:
        raise RecordError("there are no curves of a mixture")
    found = Mixing()
    for name, points in curves.items():
        link, rest = split(name)
        if link == max(links) and is_of_mixing(name):
            _check(name, points)
            _take(found, rest.removeprefix(PREFIX), points)
    _check_weights(found)
    return found


def _take(found: Mixing, rest: str, points: Curve) -> None:
    """Put the curve with this end of its name where it belongs."""
    kind, _, data_set = rest.partition(" ")
    if kind in KINDS and data_set:
        getattr(found, kind)[data_set] = points
    elif kind == LOAD:
        expert, _, data_set = data_set.partition(" ")
        found.load.setdefault(data_set, {})[int(expert)] = points
    elif PREFIX + rest == CV2:
        found.cv2 = points
    elif PREFIX + rest == OVERHEAD:
        found.overhead = points


def _check(name: str, points: Curve) -> None:
    if not points:
        raise RecordError(f"the curve {name!r} has no point")
    if not all(math.isfinite(value) for _, value in points):
        raise RecordError(f"the curve {name!r} has a value that is not finite")


def _check_weights(found: Mixing) -> None:
    if not found.weight:
        raise RecordError("a mixture without weights")
    for point in zip(*found.weight.values(), strict=True):
        weights = [value for _, value in point]
        if min(weights) < 0 or abs(math.fsum(weights) - 1) > 1e-6:
            raise RecordError(f"the weights {weights} at step {point[0][0]:g} are no fractions that sum to 1")
