"""What there is to vouch for in a result folder: its records with a score, each with its cell as it is run today."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparsebench.data.errors import DataError
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store
from sparsebench.reports.records.vouchers import CodePath, Survey
from sparsebench.reports.tables.dataframe import newest

from ..identity.cell import Cell
from ..planning.plan_file import planned_records
from ..prepare import missing_folder
from .differences import threads_of, version_changes
from .rebuild import CellGoneError, cell_of, has_key_of


@dataclass(frozen=True)
class Candidate:
    """A record that can be vouched for."""

    folder: Path
    record: Record
    cell: Cell

    @property
    def path(self) -> CodePath:
        """The code that made the record, and the code that would make it now."""
        return self.record.code, self.cell.code

    @property
    def core_seconds(self) -> float:
        """What its cell took then, times the cores that it kept busy."""
        return self.record.times.get("total", 0.0) * threads_of(self.record)


def survey(folder: Path, commit: str) -> tuple[Survey, list[Candidate]]:
    """All records of a folder that its report shows: those to draw from, and why the others are not among them.

    Raises `StoreError` and `UsageError`.
    """
    candidates = []
    excluded: Counter[str] = Counter()
    for record in _shown(folder):
        found = _candidate(record, folder)
        if isinstance(found, Candidate):
            candidates.append(found)
        else:
            excluded[found] += 1
    counts = Counter(candidate.path for candidate in candidates)
    paths = [(*path, count) for path, count in sorted(counts.items())]
    return Survey(commit=commit, paths=paths, excluded=dict(sorted(excluded.items()))), candidates


def _shown(folder: Path) -> Iterator[Record]:
    with Index(Store(folder).open()) as index:
        shown, _ = newest(planned_records(index.entries, folder))
        yield from index.records(shown)


def _candidate(record: Record, folder: Path) -> Candidate | str:
    """What to run, or why it cannot be."""
    if record.status != "ok":
        return f"no score ({record.status})"
    try:
        cell = cell_of(record)
        needed = missing_folder(cell)
        if needed:  # a copy that nobody names has another version than the record's, too
            return f"no data: {needed}"
        changes = list(version_changes(record))
        data_known = has_key_of(record, cell)
    except CellGoneError as error:
        return f"gone: {error.__cause__}"
    except DataError as error:
        return f"no data: {error}"
    if changes:
        return "; ".join(changes)
    if cell.reason:
        return f"n/a now: {cell.reason}"
    if not data_known:
        return "other data or weights than then"
    return Candidate(folder, record, cell)
