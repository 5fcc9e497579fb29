"""The result folders behind records: whether they are as their runs left them, and records drawn from them."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.store import MARKER, stores_in
from sparsebench.reports.records.sums import Fit, compare

from ..errors import UsageError
from .lookup import Named, find_records, opened

MOST_NAMED = 4


@dataclass(frozen=True)
class FolderCheck:
    """A result folder, and how its files fit the list of sums that its last run wrote."""

    folder: Path
    fit: Fit

    def sentences(self) -> list[str]:
        """What there is to say, one line each."""
        fit = self.fit
        if fit.broken:
            return [f"{self.folder}: {fit.broken}"]
        if not fit.listed:
            return [f"{self.folder}: no list of sums: it is older than such lists, or its run was stopped"]
        lines = []
        for what, paths in (("changed", fit.changed), ("gone", fit.missing)):
            if paths:
                lines.append(f"{self.folder}: {what} since its run ended: {_some(paths)}")
        if fit.unlisted:
            lines.append(f"{self.folder}: not listed by the run that ended last: {_some(fit.unlisted)}")
        return lines or [f"{self.folder}: {fit.listed} files as the run left them"]


def check_folders(named: Iterable[Named]) -> list[FolderCheck]:
    """The folders of these records, each once. Raises `StoreError`."""
    folders = dict.fromkeys(one.folder for one in named if one.folder is not None)
    return [FolderCheck(folder, compare(opened(folder))) for folder in folders]


def result_folders(folder: Path) -> list[Path]:
    """A result folder, or those in a folder of them. Raises `UsageError` for one that is neither."""
    if (folder / MARKER).exists():
        return [folder]
    found = stores_in(folder)
    if not found:
        raise UsageError(f"{folder} is no result folder, and holds none")
    return found


def draw(folders: Sequence[Path], count: int, seed: int) -> tuple[list[Named], int]:
    """Records with a score, drawn at random from these folders, and from how many.

    The order is that of the sha256 of seed and id: the same on every machine, and more of them are these and further
    ones.

    Raises:
        UsageError: there is none to draw.
    """
    found = [(id, folder) for folder in folders for id in _scored(folder)]
    if not found:
        raise UsageError(f"{', '.join(map(str, folders))}: no record with a score")
    drawn = sorted(found, key=lambda one: rank(str(seed), one[0]))[:count]
    return [Named(opened(folder).read(id), folder) for id, folder in drawn], len(found)


def choose(
    names: Sequence[str], out: Path | None, sample: int | None, seed: int, say: Callable[[str], None]
) -> list[Named]:
    """The records that the command line means: named ones, and `sample` of those in the folders that it names.

    Raises:
        UsageError: a folder without a number of records to draw, or the other way round.
    """
    folders = [folder for name in names if Path(name).is_dir() for folder in result_folders(Path(name))]
    named = find_records([name for name in names if not Path(name).is_dir()], out)
    if sample is None:
        if folders or not names:
            raise UsageError("say which records: their files, their ids and --out FOLDER, or FOLDER --sample N")
        return named
    if not folders and out is not None:
        folders = result_folders(out)
    if not folders:
        raise UsageError("--sample draws from a result folder, or a folder of them: name it")
    drawn, count = draw(folders, sample, seed)
    say(f"drew {len(drawn)} of {count:,} records with a score, seed {seed}")
    return named + drawn


def rank(seed: str, id: str) -> str:
    """Where a record comes in the order that a seed draws."""
    return hashlib.sha256(f"{seed} {id}".encode()).hexdigest()


def _scored(folder: Path) -> list[str]:
    with Index(opened(folder)) as index:
        return [entry.id for entry in index.entries if entry.status == "ok"]


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - MOST_NAMED
    return ", ".join(paths[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
