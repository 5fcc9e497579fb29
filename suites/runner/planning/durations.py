"""How long cells take, judged by those that have already run."""

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from sparsebench.reports.records.index.database import Entry

from ...contracts.budget import DURATIONS

Kin = tuple[str, ...]


class Place(Protocol):
    """What decides how long a cell takes: cells have it, and the entries of an index of records."""

    @property
    def suite(self) -> str:
        """Name of the suite."""
        ...

    @property
    def task(self) -> str:
        """Name of the task."""
        ...

    @property
    def label(self) -> str:
        """The row."""
        ...

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        ...

    @property
    def budget(self) -> Mapping[str, Any] | str:
        """The budget, or its JSON."""
        ...


PER_UNIT = "per unit"
"""What marks the kin whose figure is of one epoch, step or token."""


def kin(info: Place) -> tuple[Kin, Kin, Kin, Kin, Kin]:
    """What a cell has in common with others, the nearest first.

    The second kin is the same row for another time: its figure is of one epoch, step or token, or, where the row does
    not train, of a cell.
    """
    unit, amount = work(info)
    row = (info.suite, info.task, info.label, info.backbone, unit)
    return (
        (*row, str(amount)),
        (*row, PER_UNIT),
        (info.suite, info.task, info.backbone),
        (info.suite, info.label),
        (info.suite,),
    )


def work(info: Place) -> tuple[str, float]:
    """How long a cell trains by its budget."""
    budget = info.budget
    if isinstance(budget, str):
        budget = _budget(budget)
    return training_length(budget)


def training_length(budget: Mapping[str, Any]) -> tuple[str, float]:
    """The unit and how many a budget says; "", 1 where it says none."""
    for unit in DURATIONS:
        if budget.get(unit):
            return unit, budget[unit]
    return "", 1


@functools.lru_cache(maxsize=256)
def _budget(text: str) -> Mapping[str, Any]:
    return json.loads(text)


class Durations:
    """Expected seconds of a cell: the mean of the nearest kin with a figure. Keeps sums, whatever the number of cells.

    The mean, not the median, since what is asked for is the time of many cells together.
    """

    def __init__(self) -> None:
        self._sums: dict[Kin, tuple[float, float]] = {}
        self._trains: dict[Kin, bool] = {}
        """Of a row, by its second kin, whether its cells train: what does not takes as long by any budget."""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Durations":
        """What the cells took that have a score."""
        durations = cls()
        for entry in entries:
            if entry.status == "ok":
                durations.add(entry, entry.seconds, entry.trained)
        return durations

    def add(self, info: Place, seconds: float, trained: bool = True) -> list[Kin]:
        """Learn from one finished cell; returns the kin that had no figure before, the nearest first."""
        new = []
        nearest, row, *_ = groups = kin(info)
        self._trains.setdefault(row, trained)
        for group in groups:
            total, count = self._sums.get(group, (0.0, 0))
            self._sums[group] = (total + seconds, count + self.times(group, nearest))
            if not count:
                new.append(group)
        return new

    def times(self, group: Kin, nearest: Kin) -> float:
        """By what the figure of one of its kin is multiplied for a cell."""
        return float(nearest[-1]) if group[-1] == PER_UNIT and self._trains.get(group, True) else 1

    def mean(self, group: Kin) -> float | None:
        """Mean seconds of a cell of one kin, or of an epoch, step or token of theirs; None if none has run."""
        total, count = self._sums.get(group, (0.0, 0))
        return total / count if count else None

    def expect(self, info: Place) -> float | None:
        """Mean seconds of the nearest kin, None if nothing is known."""
        nearest, *_ = groups = kin(info)
        for group in groups:
            found = self.mean(group)
            if found is not None:
                return found * self.times(group, nearest)
        return None

    def remaining(self, cells: Iterable[Place], workers: int) -> float | None:
        """Expected wall seconds for `cells` on so many workers, None if nothing is known."""
        return Remaining(cells, self).seconds(workers)


class Remaining:
    """The time that a shrinking set of cells will take, kept up to date in a few steps an event.

    The cells that are left are counted by their nearest kin with a figure, so that the sum over all of them is a sum
    over kin. An event changes the means of the five kin of one cell. A kin that gets its first figure takes over the
    cells that judged themselves by a farther one: that happens at most four times to a cell, so that all events
    together take time linear in the number of cells.
    """

    def __init__(self, cells: Iterable[Place], durations: Durations) -> None:
        self._durations = durations
        self._left: dict[Kin, int] = defaultdict(int)
        """By nearest kin, with a figure or without: these count as one from here on."""
        self._members: dict[Kin, set[Kin]] = defaultdict(set)
        """The nearest kin within each farther one."""
        self._judge: dict[Kin, Kin | None] = {}
        """Which kin's figure each of them takes."""
        self._judged: dict[Kin, float] = defaultdict(float)
        """How often the figure of a kin is taken: by so many cells, or epochs of theirs."""
        self._groups: dict[Kin, tuple[Kin, ...]] = {}
        self._total = 0
        self._unknown = 0
        self._sum = 0.0
        for info in cells:
            self._enter(info)

    def _enter(self, info: Place) -> None:
        nearest, *farther = groups = kin(info)
        if nearest not in self._groups:
            self._groups[nearest] = groups
            for group in farther:
                self._members[group].add(nearest)
            self._judge[nearest] = next((group for group in groups if self._durations.mean(group) is not None), None)
        self._left[nearest] += 1
        self._total += 1
        self._count(nearest, 1)

    def _count(self, nearest: Kin, cells: int) -> None:
        """So many cells more, or fewer, take the figure by which their nearest kin is judged."""
        judge = self._judge[nearest]
        if judge is None:
            self._unknown += cells
            return
        times = cells * self._durations.times(judge, nearest)
        self._judged[judge] += times
        self._sum += times * (self._durations.mean(judge) or 0.0)

    def drop(self, info: Place) -> None:
        """One of the cells has ended."""
        nearest = kin(info)[0]
        self._left[nearest] -= 1
        self._total -= 1
        self._count(nearest, -1)

    def learn(self, info: Place, seconds: float, trained: bool = True) -> None:
        """A cell took so long."""
        before = {group: self._durations.mean(group) or 0.0 for group in kin(info)}
        new = self._durations.add(info, seconds, trained)
        for group, mean in before.items():
            self._sum += self._judged[group] * ((self._durations.mean(group) or 0.0) - mean)
        for group in new:
            self._take_over(group)

    def _take_over(self, group: Kin) -> None:
        """A kin has its first figure: the cells within it that took a farther one, or none, take this one."""
        for nearest in self._members.get(group, {group} & self._groups.keys()):
            groups = self._groups[nearest]
            judge = self._judge[nearest]
            if judge is None or groups.index(judge) > groups.index(group):
                self._count(nearest, -self._left[nearest])
                self._judge[nearest] = group
                self._count(nearest, self._left[nearest])

    def seconds(self, workers: int) -> float | None:
        """Expected wall seconds on so many workers, None if nothing is known; the unknown are taken to be average."""
        known = self._total - self._unknown
        if not known:
            return None if self._total else 0.0
        return max(0.0, self._sum) * self._total / known / workers


def clock(seconds: float) -> str:
    """Seconds as 42 s, 3 m 05 s or 2 h 10 m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
