"""Freeze a result folder: two Parquet files (`frozen.py`) in the place of two files for each record.

Nothing is removed before all of it was read back from the disk and found equal: each record field for field, each
outcome bit by bit. The same records make the same bytes, whatever was frozen before and when.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dataframe import COLUMNS, main_rows
from .files import read_file, write_whole
from .frozen import EXAMPLES_FILE, RECORDS_FILE, TEXT, Frozen
from .frozen_examples import EMPTY, is_same, schema, to_row
from .record import Record
from .store import Store, StoreError, explain_os_error
from .sums import compare, forget, seal

if TYPE_CHECKING:
    import pyarrow

COMPRESSION_LEVEL = 19
"""Frozen once and cloned often: 4.3 MB where 9 gives 5.6 MB."""
INTEGERS = ("seed", "n", "params_total", "params_trainable", "params_active", "params_nonzero", "bytes", "bytes_trained")
INTEGERS += ("peak_rss", "training_params", "training_peak_memory", "teacher_params_total", "teacher_params")
FLOATS = ("value", "stderr", "chance", "flops", "latency_ms", "seconds", "training_flops", "training_seconds")
FLOATS += ("teacher_flops", "teacher_seconds")
BOOLEANS = ("main", "higher_is_better")
_ABOUT = ("suite", "task", "label", "backbone", "seed")
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
        StoreError: something in it cannot be read, is not as its run left it or belongs to no record; the folder stays
            as it was. Or the disk is full.
    """
    try:
        singles = _singles(store)
        before = sum(path.stat().st_size for path in (*singles, *_parquet(store)))
        if not singles:
            return Freezing(len(store.ids()), 0, before, before)
        records = _readable(store)
        outcomes = {record.id: store.read_examples(record.id) for record in records}
        texts = {record.id: store.text(record.id).decode() for record in records}
        forget(store, {*texts, RECORDS_FILE, EXAMPLES_FILE})
        _write(store.folder / EXAMPLES_FILE, _examples_table(records, outcomes))
        _write(store.folder / RECORDS_FILE, _records_table(records, texts))
        _check(store, records, texts, outcomes)
        for path in singles:
            path.unlink()
        for folder in (store.records, store.examples):
            with contextlib.suppress(OSError):  # not there, or not empty: hidden files of others
                folder.rmdir()
        seal(store, ())
    except OSError as error:
        raise StoreError(explain_os_error(store.folder, error)) from error
    added = sum(path.parent == store.records for path in singles)
    return Freezing(len(records), added, before, sum(path.stat().st_size for path in _parquet(store)))


def _singles(store: Store) -> list[Path]:
    """The files to freeze, records first, so that a reader who misses the outcomes of one finds both frozen."""
    return [*sorted(store.records.glob("[!.]*")), *sorted(store.examples.glob("[!.]*"))]


def _parquet(store: Store) -> list[Path]:
    files = (store.folder / EXAMPLES_FILE, store.folder / RECORDS_FILE)
    return [path for path in files if path.exists()]


def _readable(store: Store) -> list[Record]:
    """All records, by id. Raises `StoreError` if there is more in the folder than they and their outcomes."""
    fit = compare(store)
    if not fit.fits:
        what = ", ".join((*fit.changed, *fit.missing)) or fit.broken
        raise StoreError(f"{store.folder} is not as its run left it ({what}): `sparsebench verify` says more")
    records, problems = store.read_all()
    for problem in problems:
        raise StoreError(f"{problem.path} cannot be frozen: {problem.reason}")
    known = {f"{record.id}.json.gz" for record in records}
    for path in store.examples.glob("[!.]*"):
        if path.name not in known:
            raise StoreError(f"{path} belongs to no record: run the profile again, or remove the file")
    return records


def _records_table(records: Sequence[Record], texts: dict[str, str]) -> pyarrow.Table:
    """What tables show, and the text that says all."""
    import pyarrow

    columns = dict(zip(COLUMNS, zip(*main_rows(records), strict=True), strict=True))
    columns["seed"] = [_in_64_bits(seed) for seed in columns["seed"]]
    arrays = {name: pyarrow.array(values, _type(name)) for name, values in columns.items() if name != "main"}
    return pyarrow.table(arrays | {TEXT: pyarrow.array([texts[record.id] for record in records])})


def _type(name: str) -> pyarrow.DataType:
    import pyarrow

    for names, kind in ((INTEGERS, pyarrow.int64()), (FLOATS, pyarrow.float64()), (BOOLEANS, pyarrow.bool_())):
        if name in names:
            return kind
    return pyarrow.string()


def _in_64_bits(seed: int) -> int | None:
    """A seed may be any whole number; one that no table holds stands in the text alone."""
    return seed if abs(seed) < 2**63 else None


def _examples_table(records: Iterable[Record], outcomes: dict[str, Any]) -> pyarrow.Table:
    import pyarrow

    rows: list[tuple[Any, ...]] = []
    for record in records:
        columns = outcomes[record.id]
        if columns is None:
            continue
        about = [getattr(record.cell, name) for name in _ABOUT]
        about[-1] = _in_64_bits(about[-1])
        made = [to_row(name, values) for name, values in columns.items()]
        rows += [(record.id, *about, *row) for row in made or [EMPTY]]
    fields = [pyarrow.field(name, _type(name)) for name in ("id", *_ABOUT)] + schema()
    columns = zip(*rows, strict=True) if rows else [()] * len(fields)
    arrays = [pyarrow.array(values, field.type) for values, field in zip(columns, fields, strict=True)]
    return pyarrow.table(arrays, schema=pyarrow.schema(fields))


def _write(path: Path, table: pyarrow.Table) -> None:
    """The table as a file, or no file for a table without rows. Raises `OSError`."""
    from pyarrow import parquet

    if not table.num_rows:
        path.unlink(missing_ok=True)
        return
    content = io.BytesIO()
    parquet.write_table(
        table, content, compression="zstd", compression_level=COMPRESSION_LEVEL, write_page_checksum=True
    )
    write_whole(path, content.getvalue())


def _check(store: Store, records: Iterable[Record], texts: dict[str, str], outcomes: dict[str, Any]) -> None:
    """Raises `StoreError` unless what lies on the disk gives every record back."""
    frozen = Frozen(store.folder)
    for record in records:
        id = record.id
        if frozen.text(id) != texts[id] or not is_same(frozen.examples(id), outcomes[id]):
            raise StoreError(f"{store.folder}: record {id} does not come back from the frozen files: nothing was removed")
