"""`report` of a folder of result folders: one document with its pictures, as a repository shows it."""

import os
from pathlib import Path

from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.results_document import results_document
from sparsebench.reports.records.files import write_all
from sparsebench.reports.records.store import MARKER, StoreError, stores_in

from ..console import open_console
from ..errors import UsageError
from .readings import open_readings
from .summary import suite_infos


def is_collection(folder: Path) -> bool:
    """Whether a folder is no result folder, but holds some."""
    return not (folder / MARKER).exists() and bool(stores_in(folder))


def write_results(folder: Path, out: Path) -> None:
    """Write the document and its pictures into `out`. Raises `StoreError` and `UsageError`."""
    readings = {Path(os.path.relpath(store, out)).as_posix(): _whole(store) for store in stores_in(folder)}
    files = results_document(readings, suite_infos())
    try:
        write_all(out, files)
    except OSError as error:
        raise StoreError(f"the results cannot be written to {out}: {error.strerror or error}") from error
    open_console().print(f"results: {', '.join(str(out / name) for name in files)}", highlight=False, soft_wrap=True)


def _whole(folder: Path) -> Reading:
    with open_readings([folder]) as reading:
        for problem in reading.problems:
            raise UsageError(f"{problem.path}: {problem.reason}; a document shows all records or none")
    return reading
