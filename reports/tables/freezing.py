"""Freeze a result folder: two Parquet files (`frozen.py`) in the place of two files for each record.

Nothing is removed before all of it was read back from the disk and found equal: each record field for field, each
outcome bit by bit. The same records make the same bytes, whatever was frozen before and when.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..records import frozen_examples
from ..records.example_files import Columns
from ..records.files import sync_folder, write_whole
from ..records.frozen import EXAMPLES_FILE, RECORDS_FILE, TEXT, Frozen
from ..records.frozen_examples import EMPTY, is_same, to_row
from ..records.record import Record
from ..records.store import Store, StoreError, explain_os_error
from ..records.sums import compare, forget, seal
from .dataframe import COLUMNS, main_rows
from .parquet_bytes import to_parquet

STAGE = ".freezing"
"""Folder of files that are not yet checked, inside the result folder."""
ABOUT = ("suite", "task", "label", "backbone", "seed")
"""What the rows of examples say of their record."""


@dataclass(frozen=True)
class Freezing:
    """What freezing a folder did: `added` records joined `count - added` frozen ones; bytes before and after."""

    count: int
    added: int
    before: int
    after: int


def freeze(store: Store) -> Freezing:
    """Freeze all records of a folder that nobody writes to.

    Raises:
        StoreError: something in it is not as its run left it or belongs to no record, and all stays as it was; or the
            disk is full.
        RecordError: outcomes cannot be read, and all stays as it was.
    """
    try:
        # Records first, so that a reader who misses the outcomes of one finds both frozen.
        singles = [*sorted(store.records.glob("[!.]*")), *sorted(store.examples.glob("[!.]*"))]
        before = _size([*singles, *_parquet(store.folder)])
        fit = compare(store)
        if not fit.fits:
            what = ", ".join((*fit.changed, *fit.missing)) or fit.broken
            raise StoreError(f"{store.folder} is not as its run left it ({what}): nothing was frozen")
        if singles:
            records = _readable(store)
            with _staged(store, records) as stage:
                forget(store, {RECORDS_FILE, EXAMPLES_FILE, *(record.id for record in records)})
                _put(stage, store.folder)
            _remove(singles, store)
        seal(store, ())
    except OSError as error:
        raise StoreError(explain_os_error(store.folder, error)) from error
    added = sum(path.parent == store.records for path in singles)
    return Freezing(len(store.frozen.ids()), added, before, _size(_parquet(store.folder)))


@contextlib.contextmanager
def _staged(store: Store, records: Sequence[Record]) -> Iterator[Path]:
    """A folder with the files that are to be, which give back all that there is. Raises `StoreError` if not."""
    stage = store.folder / STAGE
    shutil.rmtree(stage, ignore_errors=True)  # of one that was killed
    stage.mkdir()
    try:
        outcomes = {record.id: store.read_examples(record.id) for record in records}
        texts = {record.id: store.text(record.id).decode() for record in records}
        _write(stage / EXAMPLES_FILE, ("id", *ABOUT, *frozen_examples.COLUMNS), _example_rows(records, outcomes))
        # What tables show, and the text that says all.
        rows = [(*row, texts[record.id]) for record, row in zip(records, main_rows(records), strict=True)]
        _write(stage / RECORDS_FILE, (*COLUMNS, TEXT), rows)
        frozen = Frozen(stage)
        for id in texts:
            if frozen.text(id) != texts[id] or not is_same(frozen.examples(id), outcomes[id]):
                raise StoreError(
                    f"{store.folder}: record {id} does not come back from its frozen form: nothing was frozen"
                )
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _put(stage: Path, folder: Path) -> None:
    """The staged files in the place of those from before. Outcomes first, as a run does."""
    for name in (EXAMPLES_FILE, RECORDS_FILE):
        if (stage / name).exists():
            (stage / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    sync_folder(folder)


def _remove(singles: Iterable[Path], store: Store) -> None:
    for path in singles:
        path.unlink()
    for folder in (store.records, store.examples):
        with contextlib.suppress(OSError):  # not there, or not empty: hidden files, which are nobody's
            folder.rmdir()


def _parquet(folder: Path) -> list[Path]:
    return [folder / name for name in (EXAMPLES_FILE, RECORDS_FILE) if (folder / name).exists()]


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _readable(store: Store) -> list[Record]:
    """All records, by id. Raises `StoreError` if there is more in the folder than they and their outcomes."""
    records, problems = store.read_all()
    for problem in problems:
        raise StoreError(f"{problem.path}: {problem.reason}; nothing was frozen")
    for path in store.examples.glob("[!.]*"):
        id = path.name.removesuffix(".json.gz")
        if (store.records / f"{id}.json").exists():
            continue
        # A freeze that was killed leaves outcomes that are frozen, a run that was killed those of no record.
        if not is_same(store.read_examples(id), store.frozen.examples(id)):
            raise StoreError(f"{path} belongs to no record: run the profile again, or remove the file")
    return records


def _example_rows(records: Iterable[Record], outcomes: Mapping[str, Columns | None]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for record in records:
        columns = outcomes[record.id]
        if columns is None:
            continue
        about = [getattr(record.cell, name) for name in ABOUT]
        made = [to_row(name, values) for name, values in columns.items()]
        rows += [(record.id, *about, *row) for row in made or [EMPTY]]
    return rows


def _write(path: Path, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """The rows as a file, or no file where there are none. Raises `OSError`."""
    if rows:
        write_whole(path, to_parquet(names, rows, without=("main",)))  # `main` says nothing here: a row is a record
