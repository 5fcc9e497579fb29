"""How long cells take, judged by those that have already run."""

import statistics
from collections.abc import Iterable, Iterator

from sparsebench.reports.record import CellInfo, Record

from ..identity.cell import Cell


class Durations:
    """Expected seconds of a cell, from cells that have already run: the nearest kin with a figure decides."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._seconds: dict[tuple[str, ...], list[float]] = {}
        for record in records:
            if record.status == "ok":
                self.add(record.cell, record.times.get("total", 0.0))

    def add(self, info: CellInfo, seconds: float) -> None:
        """Learn from one finished cell."""
        for kin in self._kin(info):
            self._seconds.setdefault(kin, []).append(seconds)

    def expect(self, info: CellInfo) -> float | None:
        """Median seconds of the nearest kin, None if nothing is known."""
        for kin in self._kin(info):
            if kin in self._seconds:
                return statistics.median(self._seconds[kin])
        return None

    def remaining(self, cells: Iterable[Cell], workers: int) -> float | None:
        """Expected wall seconds for `cells` on so many workers, None if nothing is known."""
        known = [self.expect(cell.info) for cell in cells]
        figures = [seconds for seconds in known if seconds is not None]
        if not figures:
            return None if known else 0.0
        return sum(figures) * len(known) / len(figures) / workers

    @staticmethod
    def _kin(info: CellInfo) -> Iterator[tuple[str, ...]]:
        yield info.suite, info.task, info.label, info.backbone
        yield info.suite, info.task, info.backbone
        yield info.suite, info.label
        yield (info.suite,)


def clock(seconds: float) -> str:
    """Seconds as 42 s, 3 m 05 s or 2 h 10 m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
