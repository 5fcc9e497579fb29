"""Workers for tests of what stands around them."""

from collections.abc import Sequence
from pathlib import Path

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.execute import end_of, failure, now
from sparsebench.suites.runner.execution.executors.interface import Ended, Event, Options
from sparsebench.suites.runner.identity.cell import Cell


class AtOnce:
    """In the place of the local executor: each cell ends in the moment in which it is submitted."""

    def __init__(self, folder: Path, options: Options) -> None:
        self.store = Store(folder)
        self.news: list[Event] = []

    def submit(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            record = self.store.write(failure(cell, "failed", "at once", started=now()))
            self.news.append(Ended(cell, end_of(record)))

    def events(self, seconds: float) -> list[Event]:
        found, self.news = self.news, []
        return found

    def cancel(self, ids: Sequence[str]) -> None:
        assert not ids  # what a job has taken has ended before anybody can cancel it

    def close(self) -> None:
        self.news.clear()
