"""Calls that are timed in turn, round by round, so that a drift of the machine meets all of them alike.

pytest-benchmark times one call after the other. So calls are timed here, and a clock that moves by the times that were
taken hands them over to it.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch


class Clock(NamedTuple):
    """What time is taken by, and its name in the JSON."""

    name: str
    read: Callable[[], float]


WALL = Clock("wall", time.perf_counter)
CPU = Clock("CPU time of the process", time.process_time)


class Turn(NamedTuple):
    """What is done in a round when it is this call's turn."""

    call: Callable[[], object]
    calls: int = 1
    """So many are timed together; the seconds are those of one."""
    again: bool = False
    """One call more before them is not timed: it brings back what other calls took out of the caches."""
    before: Callable[[], object] | None = None
    """Done first, not timed."""

    def seconds(self, clock: Callable[[], float]) -> float:
        """Take the turn."""
        if self.before is not None:
            self.before()
        if self.again:
            self.call()
        start = clock()
        for _ in range(self.calls):
            self.call()
        return (clock() - start) / self.calls


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


REPLAYED = ReplayClock()
"""The timer of all tests here."""


def in_turn(turns: Mapping[str, Turn], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of a call in each round, by name, by `clock`.

    Every round starts with another call: what comes after a certain one is not always the same. What is there already
    is hidden from the garbage collector, which else looks through all of it in the middle of somebody's turn.
    """
    names = list(turns)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.freeze()
    try:
        for number in range(rounds):
            first = number % max(1, len(names))
            for name in names[first:] + names[:first]:
                seconds[name].append(turns[name].seconds(clock))
    finally:
        gc.unfreeze()
    return seconds
