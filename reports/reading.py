"""Results for whoever analyses them in Python: the records of result folders, and their frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .records.html_table import html_table
from .records.index.database import Index
from .records.record import Record
from .records.store import Problem, Store
from .tables.dataframe import newest, to_frame

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Results:
    """The newest record of each cell of some folders; also a sequence of them.

    Attributes:
        folders: where they lie.
        records: slim ones: of curves and details they have the names alone (`Store.read` gives a whole one).
        problems: files that could not be read, with the reason.
    """

    folders: tuple[Path, ...]
    records: tuple[Record, ...]
    problems: tuple[Problem, ...]

    def to_frame(self) -> DataFrame:
        """A tidy frame: one row for each record and metric, one for a record without a score.

        Returns:
            Columns of `reports.tables.dataframe.COLUMNS`; `main` marks the metric that tables show.

        Example: `read_results("results/mine").to_frame().query("main").pivot_table("value", "label", "task")`.
        """
        return to_frame(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.folders))
        unread = f", {len(self.problems)} files cannot be read" if self.problems else ""
        return f"Results({names}: {len(self.records)} records{unread}; .to_frame() gives a table)"

    def _repr_html_(self) -> str:
        """What a notebook shows: how many records each task has."""
        counts = Counter((record.cell.suite, record.cell.task) for record in self.records)
        good = Counter((record.cell.suite, record.cell.task) for record in self.records if record.status == "ok")
        rows = [[suite, task, str(count), str(good[suite, task])] for (suite, task), count in sorted(counts.items())]
        return html_table(["suite", "task", "records", "with a score"], rows, repr(self))


def read_results(*folders: Path | str) -> Results:
    """Read result folders, frozen or not.

    Args:
        folders: one or more, `reports/results/quick` for instance.

    Returns:
        The newest record of each cell, those of failed cells too.

    Raises:
        ValueError: no folder is named.
        StoreError: a folder that holds no results.

    Example: `read_results("reports/results/quick").to_frame()`.
    """
    if not folders:
        raise ValueError("name one result folder at least")
    places = tuple(map(Path, folders))
    records: list[Record] = []
    problems: list[Problem] = []
    with ExitStack() as stack:
        for place in places:
            index = stack.enter_context(Index(Store(place).open()))
            records += index.records(index.entries)
            problems += index.problems
    # A record that two folders have is one cell, and counts once.
    return Results(places, tuple(newest(records)[0]), tuple(problems))
