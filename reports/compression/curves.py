"""What a link that compresses a model leaves in the curves of a record: what it took away, block by block.

Points are (number of the block as the link found it, value). "compression experts before", "compression experts": how
many a mixture had, and has; "compression dropped experts", "compression unseen experts": the number of an expert, a
point for each that went, or that no calibration token chose; "compression tokens": calibration tokens of each expert,
in order. "compression width": hidden neurons of an expert; "compression bits", "compression group size": of its
weights, the latter 0 for a whole row; "compression error": of each rounded matrix in order, the squared error of its
outputs as a share of the squared outputs; "compression to nearest": the number of an expert with too few tokens for
more. "compression zeros <map>": share of each matrix of this name that is 0, in order; "compression by magnitude": the
number of an expert with too few tokens for more. "compression damage": what the search takes a choice to cost.

"compression bytes" and "compression active": of the whole model, at 0 before and at 1 after. "dropped by block",
"similarity by block": layers, attentions or blocks that could go; 1 for each that went, and the similarity that
decided. "zeros by block": what is 0 after training. In a record of a chain the link stands before the name:
"2. compression bits".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..records.record_limits import RecordError

Curve = Sequence[tuple[float, float]]
PREFIX = "compression "
BYTES = f"{PREFIX}bytes"
ACTIVE = f"{PREFIX}active"
EXPERTS_BEFORE = f"{PREFIX}experts before"
EXPERTS = f"{PREFIX}experts"
DROPPED_EXPERTS = f"{PREFIX}dropped experts"
UNSEEN_EXPERTS = f"{PREFIX}unseen experts"
TOKENS = f"{PREFIX}tokens"
WIDTH = f"{PREFIX}width"
BITS = f"{PREFIX}bits"
GROUP_SIZE = f"{PREFIX}group size"
ERROR = f"{PREFIX}error"
TO_NEAREST = f"{PREFIX}to nearest"
ZEROS = f"{PREFIX}zeros "
BY_MAGNITUDE = f"{PREFIX}by magnitude"
DAMAGE = f"{PREFIX}damage"
DROPPED = "dropped by block"
SIMILARITY = "similarity by block"
ZEROS_LEFT = "zeros by block"
_OLDER = (DROPPED, SIMILARITY, ZEROS_LEFT)


@dataclass
class Link:
    """What one link of a chain did: its place (1 where there is one alone), and its curves without that."""

    number: int
    curves: dict[str, Curve] = field(default_factory=dict)

    def values(self, name: str) -> list[float]:
        """The values of a curve; none where it is not there."""
        return [value for _, value in self.curves.get(name, ())]

    def zeros(self) -> list[float]:
        """The shares of all pruned matrices."""
        found: list[float] = []
        for name in self.curves:
            if name.startswith(ZEROS):
                found += self.values(name)
        return found


def is_of_compression(name: str) -> bool:
    """Whether a curve is one of those that only this panel shows; it takes no place among the training curves."""
    return _split(name)[1].startswith(PREFIX)


def is_read(name: str) -> bool:
    """Whether it is one of those, or one by block that the page draws elsewhere, too."""
    return is_of_compression(name) or _split(name)[1] in _OLDER


def links_of(curves: Mapping[str, Curve]) -> list[Link]:
    """The links that compressed something, in their order.

    Raises:
        RecordError: a share outside of 0 to 1, a count that is none, or bytes without a before and an after.
    """
    found: dict[int, Link] = {}
    for name, points in curves.items():
        number, rest = _split(name)
        if rest.startswith(PREFIX) or rest in _OLDER:
            _check(name, rest, points)
            found.setdefault(number, Link(number)).curves[rest] = points
    return [found[number] for number in sorted(found)]


def _split(name: str) -> tuple[int, str]:
    """The number of the link, 1 where there is only one, and the rest of the name."""
    match = re.fullmatch(r"(?:(\d+)\. )?(.+)", name, flags=re.DOTALL)
    if match is None:
        return 1, name
    return int(match[1] or 1), match[2]


def _check(name: str, rest: str, points: Curve) -> None:
    values = [value for _, value in points]
    if rest in (BYTES, ACTIVE) and [place for place, _ in points] != [0, 1]:
        raise RecordError(f"the curve {name!r} has no value before and one after")
    if (rest.startswith(ZEROS) or rest == ZEROS_LEFT) and not all(0 <= value <= 1 for value in values):
        raise RecordError(f"the curve {name!r} holds {values}, which are no shares")
    counted = (BYTES, ACTIVE, EXPERTS, EXPERTS_BEFORE, TOKENS, WIDTH, BITS)
    if rest in counted and not all(value >= 0 and value == int(value) for value in values):
        raise RecordError(f"the curve {name!r} holds {values}, which count nothing")
