"""An index next to the records: one SQLite file, so that looking at many results reads one file and not all of them.

It is never the truth. It is made from the records and made again at will: files that came, changed or went are
seen by their name, size, time and inode, each row has a checksum, and a file that is broken or of another version is
thrown away. Where it cannot be written (a read-only folder, a full disk, a lock that is held for long) the index is in
memory.

Any number of processes may use it at once: each writes what it found new, in short transactions of its own.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any, Self

from ..frozen import Stamp
from ..record import Record, RecordError
from ..store import Problem, Store, StoreError
from ..visible import is_text
from .collector import no_collection
from .slim import Reader, form, part_name, to_slim

INDEX = "index.sqlite"
BATCH = 500
WAIT_SECONDS = 10.0
IN_MEMORY = ":memory:"
UNUSABLE = ("BUSY", "CANTOPEN", "FULL", "LOCKED", "NOLFS", "PERM", "READONLY")
"""Kinds of errors that say nothing against the file: it stays, and this process works in memory."""
TABLES = {
    "about": "form TEXT PRIMARY KEY",
    "parts": "name TEXT PRIMARY KEY, text TEXT",
    "entries": "name TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, inode INTEGER, found TEXT, checksum INTEGER",
    "slim": "name TEXT PRIMARY KEY, text TEXT, checksum INTEGER",
}
"""Names and columns. `entries` and `slim` have a row for each record, `name` is that of its file; `found` is JSON: the
values of an entry, or the reason why the file cannot be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What plans and choices need to know of a record.

    `seconds` is the time inside its cell, `budget` that of the cell as JSON; `trained` says whether it had a training.
    """

    id: str
    key: str
    code: str
    status: str
    reason: str | None
    suite: str
    task: str
    label: str
    backbone: str
    seconds: float
    finished: str
    budget: str = "{}"
    trained: bool = True


class Index:
    """The index of a result folder, as the folder was when this was made.

    Args:
        store: the result folder.

    Attributes:
        entries: one for each record that can be read, by id.
        problems: the files that cannot, with the reason.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.folder / INDEX
        self._found: dict[str, Entry | Problem] = {}
        with no_collection():
            self._base = self._open()
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []
        for _, found in sorted(self._found.items()):
            if isinstance(found, Entry):
                self.entries.append(found)
            else:
                self.problems.append(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._base.close()

    def records(self, entries: Sequence[Entry]) -> Iterator[Record]:
        """The slim records of these entries, in their order.

        Raises:
            StoreError: a record is gone from the folder since.
        """
        reader = Reader(self._parts())
        for batch in _batches(entries):
            texts = self._slim([f"{entry.id}.json" for entry in batch])
            for entry in batch:
                try:
                    record = reader.record(texts[entry.id])
                except (KeyError, TypeError, ValueError, RecursionError):  # not in the index, or broken there
                    text, parts = to_slim(self.whole(entry))
                    record = Reader(parts).record(text)
                    self._forget(entry.id)
                yield record

    def whole(self, record: Record | Entry) -> Record:
        """The whole record of a slim one. Raises `StoreError` if it is gone from the folder since."""
        try:
            return self._store.read(record.id)
        except (KeyError, RecordError, OSError):
            path = self._store.path(f"{record.id}.json")
            raise StoreError(f"{path} went away or broke while it was read: give the command again") from None

    def _forget(self, id: str) -> None:
        """The next look at the folder reads the file again."""
        with contextlib.suppress(sqlite3.Error):  # if this cannot be written, the next one comes here, too
            self._base.execute("DELETE FROM entries WHERE name = ?", (f"{id}.json",))

    def _open(self) -> sqlite3.Connection:
        """The file; the file made again; the memory."""
        for place in (self._path, self._path, IN_MEMORY):
            base = None
            try:
                base = _connect(place)
                self._refresh(base)
            except sqlite3.Error as error:
                if base is not None:
                    base.close()
                if place == IN_MEMORY:
                    raise
                if _speaks_against_the_file(error):
                    with contextlib.suppress(OSError):
                        self._path.unlink()
            else:
                return base
        raise AssertionError("the last place returns or raises")

    def _refresh(self, base: sqlite3.Connection) -> None:
        """Make the index say what the folder holds. What is known is read first: what is gone then is really gone."""
        known = _known(base, self._store)
        present = self._store.stamps()
        self._found = {name: found for name, (stamp, found) in known.items() if present.get(name) == stamp}
        for names in _batches(sorted(known.keys() - present.keys())):
            # A transaction each: others who share the index wait for a batch, not for all of it.
            with _transaction(base):
                for table in ("entries", "slim"):
                    base.executemany(f"DELETE FROM {table} WHERE name = ?", [(name,) for name in names])
        for names in _batches(sorted(present.keys() - self._found.keys())):
            self._add(base, names, present)

    def _add(self, base: sqlite3.Connection, names: Sequence[str], present: dict[str, Stamp]) -> None:
        """Read these files and write what they hold. A file that cannot be opened is tried again the next time."""
        entries = []
        slim = []
        parts: dict[str, str] = {}
        for name in names:
            path = self._store.path(name)
            try:
                record = self._store.read_named(name)
            except FileNotFoundError:
                continue
            except (OSError, RecordError) as error:
                self._found[name] = Problem(path, str(error))
                # The index cannot hold a name of bytes that are no text.
                if isinstance(error, RecordError) and is_text(name):
                    entries.append(_row(name, present[name], str(error)))
                continue
            text, shared = to_slim(record)
            parts |= shared
            values = _values(record)
            self._found[name] = _entry(values)
            entries.append(_row(name, present[name], values))
            slim.append((name, text, _checksum(text)))
        with _transaction(base):
            base.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", entries)
            base.executemany("INSERT OR REPLACE INTO slim VALUES (?, ?, ?)", slim)
            base.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?)", parts.items())

    def _slim(self, names: Sequence[str]) -> dict[str, str]:
        """Id to text, as far as the index has them whole."""
        marks = ", ".join("?" * len(names))
        query = f"SELECT name, text, checksum FROM slim WHERE name IN ({marks})"
        found = {}
        with contextlib.suppress(sqlite3.Error):  # broken since it was opened: then the JSON files are read
            for name, text, checksum in self._base.execute(query, names):
                if _checksum(text) == checksum:
                    found[name.removesuffix(".json")] = text
        return found

    def _parts(self) -> dict[str, str]:
        found = {}
        with contextlib.suppress(sqlite3.Error):  # as above
            for name, text in self._base.execute("SELECT name, text FROM parts"):
                if part_name(text) == name:
                    found[name] = text
        return found


def _connect(place: Path | str) -> sqlite3.Connection:
    """The file with its tables. Raises `sqlite3.Error`, also if it is of another version."""
    base = sqlite3.connect(place, timeout=WAIT_SECONDS, isolation_level=None)
    try:
        base.execute("PRAGMA synchronous = NORMAL")
        tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            with _transaction(base):
                for name, columns in TABLES.items():
                    base.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
                base.execute("INSERT OR REPLACE INTO about VALUES (?)", (form(),))
        elif tables != TABLES.keys() or base.execute("SELECT form FROM about").fetchall() != [(form(),)]:
            raise sqlite3.DatabaseError("of another version")
    except sqlite3.Error:
        base.close()
        raise
    return base


@contextlib.contextmanager
def _transaction(base: sqlite3.Connection) -> Iterator[None]:
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
        base.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            base.execute("ROLLBACK")
        raise


def _speaks_against_the_file(error: sqlite3.Error) -> bool:
    name = getattr(error, "sqlite_errorname", "")
    return name.removeprefix("SQLITE_").partition("_")[0] not in UNUSABLE


def _known(base: sqlite3.Connection, store: Store) -> dict[str, tuple[Stamp, Entry | Problem]]:
    """File names to what the index says of them; a row that is broken is as good as none."""
    found: dict[str, tuple[Stamp, Entry | Problem]] = {}
    for *row, checksum in base.execute("SELECT * FROM entries"):
        if _checksum(row) == checksum:
            name, size, mtime, inode, text = row
            values = json.loads(text)
            what = Problem(store.path(name), values) if isinstance(values, str) else _entry(values)
            found[name] = (size, mtime, inode), what
    return found


def _values(record: Record) -> list[Any]:
    """The fields of an entry, in their order."""
    cell = record.cell
    return [
        *(record.id, record.key, record.code, record.status, record.reason),
        *(cell.suite, cell.task, cell.label, cell.backbone, record.times.get("total", 0.0), record.finished),
        json.dumps(cell.budget, sort_keys=True),
        record.training is not None,
    ]


def _entry(values: list[Any]) -> Entry:
    """Of many entries most texts are the same few, each in memory once."""
    shared: list[Any] = [intern(value) if isinstance(value, str) else value for value in values]
    return Entry(*shared)


def _row(name: str, stamp: Stamp, found: list[Any] | str) -> list[Any]:
    row = [name, *stamp, json.dumps(found)]
    return [*row, _checksum(row)]


def _checksum(content: Any) -> int:
    return zlib.crc32(repr(content).encode("utf-8", "surrogatepass"))


def _batches(items: Collection[Any]) -> Iterable[Sequence[Any]]:
    items = list(items)
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
