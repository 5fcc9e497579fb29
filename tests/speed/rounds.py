"""Calls that are timed in turn, round by round, so that a drift of the machine meets all of them alike.

pytest-benchmark times one call after the other. Calls of seconds, which are to be compared to some per cent, are timed
here, and a clock that moves by the times that were taken hands them over to it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class ReplayClock:
    """A timer for pytest-benchmark. It moves only when a call of `replay` is made, by the next of its times."""

    __name__ = "ReplayClock"

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def replay(self, seconds: Sequence[float]) -> Callable[[], None]:
        """A call that takes each of the times once, by this clock."""
        left: Iterator[float] = iter(seconds)

        def call() -> None:
            self.now += next(left)

        return call


def in_turn(
    calls: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each call in each round, by name, by `clock`. A round before the first is not timed.

    Every round starts with another call: what comes after a certain one is not always the same.
    """
    names = list(calls)
    for name in names:
        calls[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = clock()
            calls[name]()
            seconds[name].append(clock() - start)
    return seconds
