"""`freeze`: result folders as they are committed."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.freezing import Freezing, freeze

from .execution.executors.choice import hold
from .execution.executors.interface import Options
from .verification.folders import result_folders


def freeze_folders(folders: Sequence[Path], say: Callable[[str], None]) -> None:
    """Freeze result folders, or all in folders of them, one after the other; each is held as a run holds it.

    Raises:
        StoreError: a folder cannot be frozen; those before it are.
        UsageError: one is no result folder, or a run is writing to it.
    """
    for folder in [found for name in folders for found in result_folders(name)]:
        store = Store(folder.resolve()).open()
        with hold(store.folder, Options(workers=1), dict, say):
            say(_sentence(folder, freeze(store)))


def _sentence(folder: Path, found: Freezing) -> str:
    if not found.added:
        return f"{folder}: all of its {found.count} records are frozen"
    frozen = f"{found.count} records in {found.after / 1e6:.2f} MB, {found.before / 1e6:.2f} MB before"
    return f"{folder}: froze {found.added} records; {frozen}"
