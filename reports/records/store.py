"""The result folder: one JSON file per record, written so that a reader never sees half of one.

sparsebench.json            {"schema_version": 4}, and which list of sums counts (`sums.py`)
records/<id>.json           one record
examples/<id>.json.gz       per-example outcomes of the same cell, written before the record
records.parquet             many records that were frozen, and
examples.parquet            their outcomes (`frozen.py`)

A record in a file of its own counts more than a frozen one of its id.
"""

import contextlib
import dataclasses
import errno
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .example_files import pack, unpack
from .files import TEMPORARY, read_file, write_whole
from .frozen import RECORDS_FILE, Frozen, Stamp, stamp_of
from .record import SCHEMA_VERSION, Record, RecordError, from_json, to_json
from .store_errors import SchemaTooNew, StoreError

MARKER = "sparsebench.json"
RECORDS = "records"
"""Folder of the records, inside the result folder."""
BROKEN = f"../{RECORDS_FILE}"
"""The name, seen from the folder of the records, of frozen ones that cannot be read; no file in it has that name."""


@dataclass(frozen=True)
class Problem:
    """A file of the result folder that was skipped, and why."""

    path: Path
    reason: str


class Store:
    """Records in a folder.

    Args:
        folder: the result folder. Nothing is touched before `create` or `open`.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.records = self.folder / RECORDS
        self.examples = self.folder / "examples"
        self.frozen = Frozen(self.folder)

    def create(self) -> "Store":
        """Makes the folder ready for writing.

        Raises:
            StoreError: the folder cannot be written, or is of a newer schema.
        """
        if (self.folder / MARKER).exists():
            self.open()
        try:
            for folder in (self.records, self.examples):
                folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / MARKER).exists():
                write_whole(self.folder / MARKER, json.dumps({"schema_version": SCHEMA_VERSION}).encode())
        except OSError as error:
            raise StoreError(explain_os_error(self.folder, error)) from error
        return self

    def sweep(self, older_than: float = 0.0) -> None:
        """Removes what a killed run left half-written.

        Args:
            older_than: the age in seconds, on the clock of the folder's file system, from which on a temporary file is
                nobody's. 0 is only for the sole writer: it takes another's files, too.
        """
        for folder in (self.records, self.examples):
            probe = folder / f".now.{secrets.token_hex(4)}{TEMPORARY}"
            probe.touch()
            newest = probe.stat().st_mtime - older_than
            for leftover in folder.glob(f".*{TEMPORARY}"):
                with contextlib.suppress(FileNotFoundError):
                    if leftover.stat().st_mtime <= newest:
                        leftover.unlink()
            probe.unlink(missing_ok=True)

    def open(self) -> "Store":
        """Checks that the folder holds results that this version can read.

        Raises:
            StoreError: no results there, or an unreadable marker file.
            SchemaTooNew: the folder was written by a newer sparsebench.
        """
        marker = self.folder / MARKER
        try:
            content = json.loads(read_file(marker))
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(f"no results in {self.folder}: `sparsebench run --out {self.folder}` makes some") from None
        except (RecordError, OSError) as error:
            raise StoreError(f"{marker} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        except (ValueError, RecursionError):
            raise StoreError(f"{marker} is no JSON: is this a result folder?") from None
        version = content.get("schema_version") if isinstance(content, dict) else None
        if type(version) is not int or version < 1:
            raise StoreError(f"{marker} names no schema_version, a whole number from 1: is this a result folder?")
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"{self.folder} was written with schema {version}, this version reads up to {SCHEMA_VERSION}: "
                "`pip install --upgrade sparsebench`"
            )
        return self

    def write(self, record: Record, examples: dict[str, list[Any]] | None = None) -> Record:
        """Write one record, its per-example outcomes first.

        Args:
            record: what the cell gave.
            examples: outcomes by example, by name; None writes no such file.

        Returns:
            The record as written (with `examples` set).

        Raises:
            RecordError: something in it is not JSON; nothing is written.
            StoreError: the disk is full or the folder is gone.
        """
        outcomes = None
        if examples is not None:
            record = dataclasses.replace(record, examples=f"{self.examples.name}/{record.id}.json.gz")
            outcomes = pack(record.id, examples)
        text = to_json(record)
        try:
            if outcomes is not None:
                write_whole(self.examples / f"{record.id}.json.gz", outcomes)
            write_whole(self.records / f"{record.id}.json", text.encode())
        except OSError as error:
            raise StoreError(explain_os_error(self.folder, error)) from error
        return record

    def read(self, id: str) -> Record:
        """One record.

        Raises:
            KeyError: no record has this id, which is the name of its file.
            RecordError: the file is not a whole, valid record of that id.
        """
        try:
            return self.read_named(f"{id}.json")
        except FileNotFoundError:
            raise KeyError(id) from None

    def text(self, id: str) -> bytes:
        """What stands in the file of a record, or stood before it was frozen.

        Raises:
            KeyError: no such record.
            RecordError: as `read`.
        """
        try:
            return read_file(self.records / f"{id}.json")
        except FileNotFoundError:
            return self.frozen.text(id).encode()

    def read_examples(self, id: str) -> dict[str, list[Any]] | None:
        """The per-example outcomes of one record, or None if it has none. Raises `RecordError` for a broken file."""
        try:
            content = read_file(self.examples / f"{id}.json.gz")
        except FileNotFoundError:
            # A record that was made again has its own outcomes or none, never those of the frozen one.
            return None if (self.records / f"{id}.json").exists() else self.frozen.examples(id)
        except OSError as error:
            raise RecordError(f"examples of {id} cannot be read: {error.strerror or error}") from error
        return unpack(id, content)

    def ids(self) -> list[str]:
        """The ids of all records, sorted, without reading them.

        Raises:
            RecordError: broken frozen ones.
        """
        own = {path.stem for path in self.records.glob("[!.]*.json")}  # hidden files are nobody's record
        return sorted(own.union(self.frozen.ids()))

    def read_all(self) -> tuple[list[Record], list[Problem]]:
        """Every record that can be read, by id, and every file that cannot, with the reason.

        All of it is in memory then, details and curves too: where there may be many, read an index (`index/`).
        """
        records = []
        problems = []
        for name in sorted(self.stamps()):
            try:
                records.append(self.read_named(name))
            except (RecordError, OSError) as error:
                problems.append(Problem(self.path(name), str(error)))
        return records, problems

    def stamps(self) -> dict[str, Stamp]:
        """The names of all files of records, those of frozen ones too, and which state of the file each is in.

        Frozen records that cannot be read have one name together.
        """
        found = self._frozen_names()
        with contextlib.suppress(FileNotFoundError), os.scandir(self.records) as files:
            for file in files:
                if not file.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):  # it went away just now
                        found[file.name] = stamp_of(file.stat())
        return found

    def read_named(self, name: str) -> Record:
        """The record of a name in `stamps`, from its own file or from the frozen ones.

        Raises:
            RecordError: it is not a whole, valid record of that name.
            OSError: the file cannot be read, or is gone.
        """
        id = name.removesuffix(".json")
        if name != BROKEN:
            with contextlib.suppress(FileNotFoundError):
                text = read_file(self.records / name)
                if id == name:
                    raise RecordError("not a record: the name does not end in .json")
                return _checked(text, id)
        try:
            frozen = self.frozen.text(id)
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path(name))) from None
        try:
            return _checked(frozen.encode(), id)
        except RecordError as error:
            raise RecordError(f"in {RECORDS_FILE}: {error}") from error

    def path(self, name: str) -> Path:
        """The file that a name in `stamps` stands for, for people."""
        return self.frozen.path if name == BROKEN else self.records / name

    def _frozen_names(self) -> dict[str, Stamp]:
        """The names that the frozen records would have in files of their own."""
        stamp = self.frozen.stamp()
        if stamp is None:
            return {}
        try:
            return dict.fromkeys((f"{id}.json" for id in self.frozen.ids()), stamp)
        except (RecordError, OSError):
            return {BROKEN: stamp}


def _checked(text: bytes, id: str) -> Record:
    """The record of this id in a text. Raises `RecordError` where the text is cut off, not valid or of another id."""
    if not text.rstrip().endswith(b"}"):
        raise RecordError(f"truncated: {len(text)} bytes, the end is missing")
    record = from_json(text)
    if record.id != id:
        raise RecordError(f"foreign: the file holds record {record.id!r}")
    return record


def stores_in(folder: Path) -> list[Path]:
    """The result folders that lie directly in a folder, by name."""
    return [marker.parent for marker in sorted(folder.glob(f"*/{MARKER}"))]


def explain_os_error(folder: Path, error: OSError) -> str:
    """One line: that the result folder cannot be written, why, and what mends it.

    Args:
        folder: the result folder.
        error: what the system said.
    """
    if error.errno == errno.ENOENT and not folder.exists():
        return f"{folder} was removed, and its records with it: the same command makes them again"
    if error.errno == errno.ENOSPC:
        return f"no space left for {folder}: free some, then give the same command again"
    if error.errno == errno.EISDIR and error.filename is not None:
        place = error.filename2 or error.filename
        return f"{place} is a folder in the place of a file: move it away, then give the same command again"
    return f"{folder} cannot be written ({error.strerror or error}): choose another folder with --out"
