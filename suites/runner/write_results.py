"""`report` of a folder of result folders: one document with its pictures, as a repository shows it."""

import os
from pathlib import Path

from sparsebench.reports.page.results_document import Run, results_document
from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.store import MARKER, Store, StoreError, stores_in
from sparsebench.reports.records.vouchers import Vouchers
from sparsebench.reports.tables.claims import judge

from .console import open_console
from .errors import UsageError
from .identity.commits import unknown_commits
from .planning.plan_file import planned_claims, planned_records, planned_roles, with_planned_seeds
from .summary import objection, suite_infos

READING = "reading.md"
"""What people read from a result folder, in Markdown; it lies next to the records."""


def is_collection(folder: Path) -> bool:
    """Whether a folder is no result folder, but holds some."""
    return not (folder / MARKER).exists() and bool(stores_in(folder))


def write_results(folder: Path, out: Path) -> None:
    """Write the document and its pictures into `out`. Raises `StoreError` and `UsageError`."""
    runs = [_run(store, out) for store in stores_in(folder)]
    files = results_document(runs, suite_infos())
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"the results cannot be written to {out}: {error.strerror or error}") from error
    open_console().print(f"results: {', '.join(str(out / name) for name in files)}", highlight=False, soft_wrap=True)


def _run(folder: Path, out: Path) -> Run:
    store = Store(folder).open()
    examples = ExampleReader(store.read_examples)
    with Index(store) as index:
        for problem in index.problems:
            raise UsageError(f"{problem.path}: {problem.reason}; a document shows all records or none")
        records = with_planned_seeds(index.records(planned_records(index.entries, folder)), folder)
    reading = folder / READING
    roles = planned_roles(folder)
    return Run(
        path=Path(os.path.relpath(folder, out)).as_posix(),
        records=records,
        findings=judge(planned_claims(folder), records, examples, roles),
        examples=examples,
        standing=Vouchers(folder).standing(),
        unknown_commits=unknown_commits(records),
        objection=objection(folder),
        roles=roles,
        reading=reading.read_text(encoding="utf-8") if reading.exists() else "",
    )
