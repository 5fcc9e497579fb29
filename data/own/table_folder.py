"""A folder of the user's with one table, and `columns.json` where its columns cannot be guessed."""

import json
from dataclasses import asdict
from pathlib import Path

from ..errors import TableError
from ..local_folders import note_unpinned
from .columns import Columns
from .tables import is_table

COLUMNS_FILE = "columns.json"


def table_in(place: Path, source: str) -> tuple[Path, Columns]:
    """The table of a folder and the columns that its owner named, both noted as read.

    Args:
        place: the folder.
        source: name of the source that the folder is.

    Returns:
        The file, and the columns, which are empty where nothing says them.

    Raises:
        TableError: no table or several, and a columns file that names none.
    """
    tables = [file for file in sorted(place.iterdir()) if is_table(file) and not file.name.startswith(".")]
    if len(tables) != 1:
        raise TableError(f"{place} has {len(tables)} tables (.csv, .smi, .sdf, ...), and one is expected")
    given = Columns("", ())
    described = place / COLUMNS_FILE
    if described.is_file():
        note_unpinned(source, place, described)
        given = read_columns(described)
    note_unpinned(source, place, tables[0])
    return tables[0], given


def read_columns(file: Path) -> Columns:
    """The columns as a file names them. Raises `TableError` for one that does not."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        texts = [found["input"], found.get("split", ""), *found["targets"]]
        if not all(isinstance(text, str) for text in texts) or not isinstance(found["targets"], list):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise TableError(f'{file} must be as {{"input": "SMILES", "targets": ["logS"], "split": ""}}') from None
    return Columns(found["input"], tuple(found["targets"]), found.get("split", ""))


def columns_text(columns: Columns) -> str:
    """What `read_columns` reads."""
    return json.dumps(asdict(columns))
