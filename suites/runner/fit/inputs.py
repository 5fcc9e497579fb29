"""New inputs to predict, each with its status: nothing is dropped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sparsebench.data.errors import LocalFolderError, TableError
from sparsebench.data.molecules.table import parse_failure
from sparsebench.data.own.columns import known_inputs
from sparsebench.data.own.tables import Table, read_table
from sparsebench.data.vision.vtab1k.images import read_rgb

from ..errors import UsageError

Status = Literal["ok", "unreadable", "refused"]
CHUNK = 256
"""Rows that are read at once: any number of them need not fit into memory."""
IMAGES = 16
"""Images that are read at once: a photograph of twelve megapixels is 36 MB."""


@dataclass(frozen=True)
class Input:
    """One row: the raw input, or None and why there is none."""

    value: Any
    reason: str = ""


@dataclass(frozen=True)
class NewData:
    """N rows: columns to repeat beside their predictions, and how to read a range of inputs.

    `column` is the one that has the inputs; there is none of images.
    """

    columns: Mapping[str, Sequence[str]]
    sources: Sequence[Any]
    kind: str
    column: str

    def __len__(self) -> int:
        return len(self.sources)

    def chunks(self) -> Iterator[list[Input]]:
        """The inputs, some at a time, in order."""
        count = IMAGES if self.kind == "images" else CHUNK
        for start in range(0, len(self), count):
            yield [_input(self.kind, value) for value in self.sources[start : start + count]]


def new_data(place: Path, kind: str, column: str) -> NewData:
    """What lies at a place.

    Args:
        place: a table; of images a folder, with files at any depth, or one file.
        kind: what the model takes.
        column: the input column that the model was fitted on; where there is none of that name, one is taken that
            differs in case alone, the only column, or one that is called as columns of such inputs are.

    Returns:
        The rows.

    Raises:
        UsageError: there is nothing.
        TableError: a table that cannot be read, or has no column to be meant.
    """
    if not place.exists():
        raise UsageError(f"there is no {place}")
    if kind == "images":
        return _files(place)
    if place.is_dir():
        raise UsageError(f"{place} is a folder: give a table of {kind} (.csv, .tsv, .parquet, .smi, .sdf)")
    table = read_table(place)
    name = column if column in table.columns else _other_column(table, kind, column)
    inputs: list[Any] = list(table.columns[name])
    for row, reason in table.broken.items():
        inputs[row] = Input(None, reason)
    return NewData(table.columns, inputs, kind, name)


def _other_column(table: Table, kind: str, column: str) -> str:
    """The column that is meant, where none has the name that was fitted on. Raises `TableError`."""
    names = list(table.columns)
    if len(names) == 1:
        return names[0]
    alike = [name for name in names if name.lower() == column.lower()]
    if len(alike) == 1:
        return alike[0]
    known = known_inputs(names, "text" if kind == "text" else "molecules")
    if not known:
        said = f"{table.file} has no column {column!r}, on which the row was fitted, but {', '.join(map(repr, names))}"
        raise TableError(f"{said}: give its inputs that name")
    return known[0]


def _files(place: Path) -> NewData:
    files = [place]
    if place.is_dir():
        found = sorted(place.rglob("*"))
        # A link to a folder or to nothing is a row, too: what lies behind it is not looked at, and that is said.
        files = [f for f in found if (f.is_file() or f.is_symlink()) and not _hidden(f.relative_to(place))]
    if not files:
        raise UsageError(f"{place} has no file")
    names = [file.relative_to(place).as_posix() if place.is_dir() else file.name for file in files]
    return NewData({"file": names}, files, "images", "")


def _hidden(path: Path) -> bool:
    return any(step.startswith(".") for step in path.parts)


def _input(kind: str, value: Any) -> Input:
    if isinstance(value, Input):
        return value
    if kind == "images":
        try:
            return Input(read_rgb(value, upright=True))
        except LocalFolderError as error:
            return Input(None, str(error).removeprefix(f"{value} is ").removesuffix(": copy it again"))
    text = value.strip()
    if not text:
        return Input(None, "no text" if kind == "text" else "no SMILES")
    reason = parse_failure(text) if kind == "molecules" else None
    return Input(None, reason) if reason else Input(text)
