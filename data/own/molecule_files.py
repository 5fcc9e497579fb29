"""A file of molecules of any length, read part by part: CSV, TSV, Parquet, SMI and SDF, by the name of a column.

Memory holds one part. Every row of the file is in one part, whatever it holds.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import TableError
from ..manifest import near
from .columns import input_column
from .tables import (
    SDF_SUFFIXES,
    SMI_SUFFIXES,
    SUFFIXES,
    Table,
    check_is_table,
    csv_form,
    frame_table,
    one_line,
    opened,
    parquet_frame,
    sdf_records,
    sdf_table,
    smi_rows,
    smi_table,
)

LINE_SUFFIXES = (*SMI_SUFFIXES, ".smiles", ".ism", ".txt")
"""Files with a molecule first in each line."""
MOLECULE_SUFFIXES = tuple(dict.fromkeys((*SUFFIXES, *LINE_SUFFIXES)))
CHECKED = 65_536
"""Rows at once where a file is looked through."""


@dataclass(frozen=True)
class MoleculePart:
    """Molecules as they stand in the file, without blanks around; `broken` says why a row, from 0, has none."""

    smiles: tuple[str, ...]
    broken: dict[int, str]


@dataclass(frozen=True)
class MoleculeFile:
    """A file that was looked through once: the column of its molecules, its rows, the sha256 of its content."""

    file: Path
    column: str
    rows: int
    digest: str

    def parts(self, rows: int) -> Iterator[MoleculePart]:
        """All rows, so many at once, the last part shorter. Raises `TableError` for a file that has changed."""
        for table in _tables(self.file, rows):
            yield _part(table, self.column)


def open_molecules(file: Path, column: str = "") -> MoleculeFile:
    """Look a file through, so that what is wrong with its form is said before any work.

    Args:
        file: its name says the form (`MOLECULE_SUFFIXES`).
        column: the column with the SMILES strings; guessed unless given.

    Returns:
        The file, to be read in parts.

    Raises:
        TableError: no such file or column, no column that is meant clearly, a file that cannot be read, no row.
    """
    check_is_table(file, MOLECULE_SUFFIXES)
    chosen = ""
    rows = 0
    for table in _tables(file, CHECKED):
        if not chosen:
            chosen = _choose(table, column)
        rows += len(table)
    if not rows:
        raise TableError(f"{file} has no row")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return MoleculeFile(file, chosen, rows, digest)


def _choose(table: Table, column: str) -> str:
    if not column:
        return input_column(table, "molecules")
    if column not in table.columns:
        raise TableError(f"{table.file} has no column {column!r}{near(column, table.columns)}")
    return column


def _part(table: Table, column: str) -> MoleculePart:
    # A property of an SDF file may be missing in all records of a part.
    texts = table.columns.get(column, ("",) * len(table))
    return MoleculePart(tuple(text.strip() for text in texts), dict(table.broken))


def _tables(file: Path, rows: int) -> Iterator[Table]:
    """The table in pieces of so many rows."""
    name = file.name.lower()
    if name.endswith(LINE_SUFFIXES):
        pieces = _smi(file, rows)
    elif name.endswith(SDF_SUFFIXES):
        pieces = _sdf(file, rows)
    elif name.endswith(".parquet"):
        pieces = _parquet(file, rows)
    else:
        pieces = _csv(file, rows)
    while True:
        with one_line(file):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _smi(file: Path, rows: int) -> Iterator[Table]:
    header, lines = smi_rows(file)
    while some := list(itertools.islice(lines, rows)):
        yield smi_table(file, header, some)


def _sdf(file: Path, rows: int) -> Iterator[Table]:
    records = sdf_records(file)
    while some := list(itertools.islice(records, rows)):
        yield sdf_table(file, some)


def _parquet(file: Path, rows: int) -> Iterator[Table]:
    import pandas as pd
    from pyarrow import parquet

    with parquet.ParquetFile(file) as stored:
        # Batches end where a row group does; they are joined, so that parts are as long as asked for.
        kept = None
        for batch in stored.iter_batches(batch_size=rows):
            frame = parquet_frame(batch)
            kept = frame if kept is None else pd.concat([kept, frame], ignore_index=True)
            while len(kept) >= rows:
                yield frame_table(file, kept.iloc[:rows])
                kept = kept.iloc[rows:]
        if kept is not None and len(kept):
            yield frame_table(file, kept)


def _csv(file: Path, rows: int) -> Iterator[Table]:
    import pandas as pd

    form = csv_form(file)
    with opened(file) as lines:
        frames: Iterable[pd.DataFrame] = pd.read_csv(lines, **form, chunksize=rows)
        for frame in frames:
            yield frame_table(file, frame)
