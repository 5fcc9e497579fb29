"""Which data set, and which row of it, each draw of a mixture takes."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DryStreamError, MixtureError
from .row_order import random_words, row_order
from .weights import checked_sizes, checked_weights

Draw = tuple[str, int]
"""The name of a data set, and a row of it."""


@dataclass
class _Period:
    """Weights, the first draw that they decide, and how often each data set was drawn before it."""

    start: int
    weights: dict[str, float]
    limits: np.ndarray
    """Cumulative weights: data set n takes the random numbers below limits[n] that no earlier one takes."""
    counts: np.ndarray


class MixtureDraws:
    """An endless sequence of draws from named data sets, whose weights may change at any draw to come.

    Draw i takes the data set into whose share of [0, 1) a random number falls that depends on ``seed`` and i alone.
    Within a data set, rows come without replacement in a seeded random order, another one in each pass. All draws are
    thus a pure function of sizes, seed and the weights in force at each draw: any past draw can be made again, and
    whoever makes them, in whatever portions, on however many processes, makes the same.

    Args:
        sizes: rows by data set, in the order of the mixture.
        weights: shares by data set; they sum to 1.
        seed: of data sets and orders.
        repeat: whether a data set starts another pass at its end; else `take` raises `DryStreamError` there.

    Raises:
        MixtureError: for a data set without rows, and for weights that are unknown, missing, negative or no shares.
    """

    def __init__(self, sizes: Mapping[str, int], weights: Mapping[str, float], seed: int, repeat: bool = True) -> None:
        self.sizes = checked_sizes(sizes)
        self.names = tuple(self.sizes)
        self.seed = seed
        self.repeat = repeat
        counts = np.zeros(len(self.names), dtype=np.int64)
        self._periods = [self._period(0, checked_weights(weights, self.names), counts)]
        self._place = 0
        """The draw that the counts below stand before: going on from it costs nothing."""
        self._counts = counts.copy()
        self.taken = 0
        """The first draw that nobody has taken yet: weights can change from there on."""

    @property
    def weights(self) -> dict[str, float]:
        """The newest weights, which may take effect at a draw still to come."""
        return dict(self._periods[-1].weights)

    @property
    def history(self) -> list[tuple[int, dict[str, float]]]:
        """All weights there were, each with the first draw that it decides."""
        return [(period.start, dict(period.weights)) for period in self._periods]

    def set_weights(self, weights: Mapping[str, float], from_draw: int) -> None:
        """Let weights decide from a draw on.

        Args:
            weights: by data set; they sum to 1.
            from_draw: number of the draw.

        Raises:
            MixtureError: bad weights, and a draw that was taken or that lies before an earlier change.
        """
        self.change(checked_weights(weights, self.names), from_draw)

    def change(self, weights: dict[str, float], from_draw: int) -> None:
        """As `set_weights`, for weights that another mixture has checked: they are taken to the last digit.

        Args:
            weights: by data set.
            from_draw: number of the draw.

        Raises:
            MixtureError: a draw that was taken or that lies before an earlier change.
        """
        last = self._periods[-1].start
        if from_draw < self.taken or from_draw < last:
            raise MixtureError(
                f"weights cannot change from draw {from_draw} on: draws below {self.taken} are taken, and the last "
                f"change is at draw {last}; let them take effect later"
            )
        if from_draw == last:
            counts = self._periods.pop().counts
        else:
            counts = self._counts_before(from_draw)
        self._periods.append(self._period(from_draw, weights, counts))

    def take(self, start: int, count: int) -> list[Draw]:
        """Some draws. In order it is fastest, but any place will do.

        Args:
            start: number of the first.
            count: how many.

        Returns:
            Name and row of each.

        Raises:
            DryStreamError: a data set is used up and is not to be repeated.
            MixtureError: numbers below 0.
        """
        if start < 0 or count < 0:
            raise MixtureError(f"draws {start} to {start + count} do not exist; give numbers of at least 0")
        if start != self._place:
            self._go_to(start)
        draws = []
        counts = self._counts.tolist()
        for chosen in self._choices(start, count).tolist():
            draws.append((self.names[chosen], self._row(chosen, counts[chosen])))
            counts[chosen] += 1
        self._counts = np.array(counts)
        self._place = start + count
        self.taken = max(self.taken, self._place)
        return draws

    def counts(self, draw: int) -> dict[str, int]:
        """How often each data set is drawn before that draw."""
        return dict(zip(self.names, self._counts_before(draw).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Sizes, seed and all weights so far: enough to make every draw again."""
        history = [[start, weights] for start, weights in self.history]
        return {**self._identity(), "history": history, "taken": self.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the weights of a state.

        Args:
            state: what `state_dict` gave.

        Raises:
            MixtureError: data sets, their order, their sizes or the seed differ.
        """
        for key, value in self._identity().items():
            if state[key] != value:
                raise MixtureError(
                    f"the state is of draws with {key} {state[key]}, not {value}; "
                    "go on with what it was, or start from the beginning without the state"
                )
        counts = np.zeros(len(self.names), dtype=np.int64)
        self._counts = counts.copy()
        self._place = 0
        self._periods = []
        for start, weights in state["history"]:
            if self._periods:
                counts = self._counts_before(start)
            # Weights are taken as they are: dividing by their sum once more could change the last digit.
            self._periods.append(self._period(start, {name: weights[name] for name in self.names}, counts))
        self.taken = state["taken"]
        self._go_to(self.taken)

    def _identity(self) -> dict[str, Any]:
        """What all draws depend on but for the weights; the sizes as a list, since their order counts."""
        sizes = [[name, size] for name, size in self.sizes.items()]
        return {"sizes": sizes, "seed": self.seed, "repeat": self.repeat}

    def _period(self, start: int, weights: dict[str, float], counts: np.ndarray) -> _Period:
        limits = np.cumsum(list(weights.values()))
        # Rounding must leave no gap below 1, and no room for a last data set whose weight is 0.
        limits[limits >= limits[-1]] = np.inf
        return _Period(start, weights, limits, counts)

    def _choices(self, start: int, count: int) -> np.ndarray:
        """Numbers of the data sets that these draws take: (count,)."""
        uniform = (random_words(f"draws/{self.seed}", start, count) >> np.uint64(11)) * 2.0**-53
        chosen = np.empty(count, dtype=np.int64)
        number = self._period_of(start)
        first = 0
        while first < count:
            last = count
            if number + 1 < len(self._periods):
                last = min(self._periods[number + 1].start - start, count)
            limits = self._periods[number].limits
            chosen[first:last] = np.searchsorted(limits, uniform[first:last], side="right")
            number += 1
            first = last
        return chosen

    def _period_of(self, draw: int) -> int:
        """The number of the period in which that draw lies."""
        return bisect_right(self._periods, draw, key=lambda period: period.start) - 1

    def _row(self, chosen: int, drawn: int) -> int:
        """The row of a data set that was drawn so often before."""
        name = self.names[chosen]
        size = self.sizes[name]
        epoch, place = divmod(drawn, size)
        if epoch and not self.repeat:
            raise DryStreamError(
                f"data set {name!r} ran dry: all of its {size} rows were drawn; "
                "give it more rows, draw less, or read it again and again with repeat=True"
            )
        return int(row_order(self.seed, name, size, epoch)[place])

    def _counts_before(self, draw: int) -> np.ndarray:
        """How often each data set is drawn before that draw: (N,)."""
        period = self._periods[self._period_of(draw)]
        known, counts = period.start, period.counts
        if known <= self._place <= draw:  # nearer: a worker that skips the batches of others comes from here
            known, counts = self._place, self._counts
        chosen = self._choices(known, draw - known)
        return counts + np.bincount(chosen, minlength=len(self.names))

    def _go_to(self, draw: int) -> None:
        self._counts = self._counts_before(draw)
        self._place = draw
