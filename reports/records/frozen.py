"""Records and examples that were frozen: two Parquet files in the place of two files for each record.

records.parquet     a row for each record: what tables show of it, and its exact text (`record`)
examples.parquet    a row for each column of per-example outcomes (`frozen_examples.py`)

Any reader of Parquet reads them. `freezing.py` writes them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .files import read_file
from .frozen_examples import COLUMNS, to_columns
from .record_limits import RecordError

if TYPE_CHECKING:
    import pyarrow

RECORDS_FILE = "records.parquet"
EXAMPLES_FILE = "examples.parquet"
TEXT = "record"
"""The column of the exact text."""
MOST_BYTES = 8 << 30
"""A file says that it unpacks to less."""
Stamp = tuple[int, int, int]
"""Size, time and inode of a file: another one has another stamp."""


def stamp_of(found: os.stat_result) -> Stamp:
    """What tells a file from one that is written later in its place."""
    return found.st_size, found.st_mtime_ns, found.st_ino


class Frozen:
    """The frozen records of a result folder, as the files are at each call; none where there are no such files.

    Args:
        folder: the result folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORDS_FILE
        self._read: dict[str, tuple[Stamp, dict[str, Any]]] = {}

    def stamp(self) -> Stamp | None:
        """The stamp of the file of records, None if there is none. Raises `OSError`."""
        return self._stamp(RECORDS_FILE)

    def ids(self) -> list[str]:
        """The ids of all frozen records. Raises `RecordError` for a broken file and `OSError`."""
        return list(self._rows(RECORDS_FILE))

    def text(self, id: str) -> str:
        """The exact text of a record. Raises `KeyError` if it is not there, `RecordError` and `OSError`."""
        text = self._rows(RECORDS_FILE)[id].as_py()
        if not isinstance(text, str):
            raise RecordError(f"{RECORDS_FILE}: record {id} has no text")
        return text

    def examples(self, id: str) -> dict[str, list[Any]] | None:
        """The outcomes of a record, None if there are none. Raises `RecordError` for a broken file and `OSError`."""
        found = self._rows(EXAMPLES_FILE).get(id)
        if found is None:
            return None
        try:
            return to_columns(found)
        except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise RecordError(f"{EXAMPLES_FILE}: examples of {id} cannot be read: {error!r}") from error

    def _stamp(self, name: str) -> Stamp | None:
        try:
            return stamp_of(self.path.with_name(name).stat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _rows(self, name: str) -> dict[str, Any]:
        """The rows of a file by the id of their record, read again if it changed; none without it."""
        stamp = self._stamp(name)
        if stamp is None:
            return {}
        if name not in self._read or self._read[name][0] != stamp:
            columns, make = _FILES[name]
            self._read[name] = stamp, make(read_table(self.path.with_name(name), columns))
        return self._read[name][1]


def read_table(path: Path, columns: tuple[str, ...]) -> pyarrow.Table:
    """These columns of a file, whose checksums must hold. Raises `RecordError` for a broken file, and `OSError`."""
    content = read_file(path)
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(content), page_checksum_verification=True)
        size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
        if size > MOST_BYTES:
            raise pyarrow.ArrowInvalid(f"it unpacks to {size >> 20} MiB, and {MOST_BYTES >> 20} are allowed")
        return file.read(list(columns), use_threads=False).select(list(columns))
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise RecordError(f"{path.name} is broken: {' '.join(str(error).split())}") from error


def _texts(table: pyarrow.Table) -> dict[str, Any]:
    """Arrow's own strings: as Python's they would take memory before they are asked for."""
    found = dict(zip(table["id"].to_pylist(), table[TEXT], strict=True))
    if len(found) < table.num_rows:
        raise RecordError(f"{RECORDS_FILE} has more than one record of an id")
    return found


def _outcomes(table: pyarrow.Table) -> dict[str, list[tuple[Any, ...]]]:
    found = defaultdict(list)
    columns = [table[name] for name in COLUMNS]
    for id, *row in zip(table["id"].to_pylist(), *columns, strict=True):
        found[id].append(tuple(row))
    return dict(found)


_FILES: dict[str, tuple[tuple[str, ...], Callable[[pyarrow.Table], dict[str, Any]]]] = {
    RECORDS_FILE: (("id", TEXT), _texts),
    EXAMPLES_FILE: (("id", *COLUMNS), _outcomes),
}
"""The columns that are read of a file, and what makes rows by record of them."""
