"""A horizontal axis on which better lies to the right: where a value stands, and round numbers for its ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_TICKS = 5
MARGIN = 0.06


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on `width` points from `left` on; reversed where lower values are better."""

    low: float
    high: float
    left: float
    width: float
    higher_is_better: bool

    def place(self, value: float) -> float:
        """The x coordinate of a value; one outside the range stands at its end."""
        fraction = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + (fraction if self.higher_is_better else 1 - fraction) * self.width

    def ticks(self) -> list[float]:
        """At most `MAX_TICKS` round numbers within the range."""
        for exponent in range(math.floor(math.log10(self.high - self.low)) - 1, 400):
            for factor in (1, 2, 5):
                step = factor * 10.0**exponent
                first = math.ceil(self.low / step)
                last = math.floor(self.high / step)
                if last - first < MAX_TICKS:
                    return [round(number * step, 12) for number in range(first, last + 1)]
        raise AssertionError("unreachable: a step as large as the range leaves two ticks at most")


def axis(low: float, high: float, left: float, width: float, higher_is_better: bool) -> Axis:
    """An axis from `low` to `high`, with a margin at both ends."""
    room = MARGIN * (high - low) or 0.5
    return Axis(low - room, high + room, left, width, higher_is_better)
