"""A horizontal axis on which better lies to the right: where a value stands, and round numbers for its ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_TICKS = 5
MARGIN = 0.06
_ROUND = (1, 2, 5)


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on `width` points from `left` on; reversed where lower values are better."""

    low: float
    high: float
    left: float
    width: float
    log: bool
    higher_is_better: bool

    def place(self, value: float) -> float:
        """The x coordinate of a value; one outside the range stands at its end."""
        value = min(max(value, self.low), self.high)
        fraction = (self._scaled(value) - self._scaled(self.low)) / (self._scaled(self.high) - self._scaled(self.low))
        if not self.higher_is_better:
            fraction = 1 - fraction
        return self.left + fraction * self.width

    def ticks(self) -> list[float]:
        """At most `MAX_TICKS` round numbers within the range."""
        if self.log:
            return self._log_ticks()
        for exponent in range(math.floor(math.log10(self.high - self.low)) - 1, 400):
            for factor in _ROUND:
                step = factor * 10.0**exponent
                first = math.ceil(self.low / step)
                last = math.floor(self.high / step)
                if last - first < MAX_TICKS:
                    return [round(number * step, 12) for number in range(first, last + 1)]
        raise AssertionError("unreachable: a step as large as the range leaves two ticks at most")

    def _log_ticks(self) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found = [factor * 10.0**exponent for exponent in exponents for factor in _ROUND]
        inside = [tick for tick in found if self.low <= tick <= self.high]
        every = math.ceil(len(inside) / MAX_TICKS)
        return inside[::every]

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


def axis(low: float, high: float, log: bool, left: float, width: float, higher_is_better: bool) -> Axis:
    """An axis from `low` to `high`, with a margin at both ends."""
    if log:
        factor = (high / low) ** MARGIN
        return Axis(low / factor, high * factor, left, width, True, higher_is_better)
    room = MARGIN * (high - low) or 0.5
    return Axis(low - room, high + room, left, width, False, higher_is_better)
