"""What a link that compresses a model notes for the record: what it took away, block by block.

The JSON: `{"bytes": [before, after], "active": [before, after], "blocks": {"3": {"experts_before": [8], ...}}}`, the
first two of the whole model. Blocks have the numbers that the link found, and each has lists, of what there is to say:
"experts_before", "experts": how many a mixture had, and has; "dropped_experts", "unseen_experts": the numbers of those
that went, or that no calibration token chose; "tokens": calibration tokens of each expert. "width": hidden neurons of
an expert; "bits", "group_size": of its weights, the latter 0 for a whole row; "error": of each rounded matrix, the
squared error of its outputs over the squared outputs; "to_nearest": the numbers of experts with too few tokens for
more. "zeros_<map>": fraction of each matrix of this name that is 0; "by_magnitude": the numbers of experts with too few
tokens for more. "damage": what the search takes a choice to cost. "dropped", "similarity": of a layer, attention or
block that could go, 1 if it went, and the similarity that decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..records.record_limits import RecordError

KEY = "compression"
"""The entry of `Record.details`."""
COUNTS = ("experts", "experts_before", "tokens", "width", "bits")
"""Lists of whole numbers."""
ZEROS = "zeros_"


@dataclass(frozen=True)
class Link:
    """What one link of a chain did: its place (1 where there is one alone), bytes before and after, lists by block."""

    number: int
    bytes: tuple[float, float]
    blocks: dict[int, dict[str, list[float]]]

    def values(self, name: str) -> list[float]:
        """The values of all blocks, in order; none where nothing was noted."""
        return [value for _, value in self.points(name)]

    def points(self, name: str) -> list[tuple[float, float]]:
        """The same as (block, value)."""
        found: list[tuple[float, float]] = []
        for block, lists in self.blocks.items():
            found += [(float(block), value) for value in lists.get(name, ())]
        return found

    def zeros(self) -> list[float]:
        """The fractions of all pruned matrices."""
        found: list[float] = []
        for lists in self.blocks.values():
            for name, values in lists.items():
                if name.startswith(ZEROS):
                    found += values
        return found


def from_details(number: int, value: Any) -> Link:
    """What the link of this number noted under `KEY`.

    Raises:
        RecordError: a fraction outside of 0 to 1, or a count that is none. A missing key or a wrong type raises what
            Python raises.
    """
    before, after = value["bytes"]
    _check_counts("bytes", value["bytes"])
    # A file has its keys in the order of texts: "10" before "2".
    blocks = {int(block): value["blocks"][block] for block in sorted(value["blocks"], key=int)}
    for lists in blocks.values():
        for name, values in lists.items():
            if name in COUNTS:
                _check_counts(name, values)
            if name.startswith(ZEROS) and not all(0 <= number <= 1 for number in values):
                raise RecordError(f"{name!r} holds {values}, which are no fractions")
    return Link(number, (before, after), blocks)


def _check_counts(name: str, values: Sequence[float]) -> None:
    if not all(value >= 0 and value == int(value) for value in values):
        raise RecordError(f"{name!r} holds {values}, which count nothing")
