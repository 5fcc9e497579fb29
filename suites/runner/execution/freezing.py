"""`freeze`: result folders as they are committed."""

from collections.abc import Callable, Iterable
from pathlib import Path

from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.freezing import Freezing, freeze

from .executors.choice import hold
from .executors.interface import Options


def freeze_folders(folders: Iterable[Path], say: Callable[[str], None]) -> None:
    """Freeze result folders, one after the other; each is held as a run holds it.

    Raises:
        StoreError: a folder cannot be frozen, or is no result folder; those before it are frozen.
        RecordError: outcomes in it cannot be read; those before it are frozen.
        UsageError: a run is writing to it.
    """
    for folder in folders:
        store = Store(folder.resolve()).open()
        with hold(store.folder, Options(workers=1), dict, say):
            say(_sentence(folder, freeze(store)))


def _sentence(folder: Path, found: Freezing) -> str:
    if not found.added:
        return f"{folder}: all of its {found.count} records are frozen"
    frozen = f"{found.count} records in {found.after / 1e6:.2f} MB, {found.before / 1e6:.2f} MB before"
    return f"{folder}: froze {found.added} records; {frozen}"
