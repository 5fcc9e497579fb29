"""The result folder: one JSON file per record, written so that a reader never sees half of one.

sparsebench.json            {"schema_version": 4}, and which list of sums counts (`sums.py`)
records/<id>.json           one record
examples/<id>.json.gz       per-example outcomes of the same cell, written before the record
"""

import contextlib
import dataclasses
import errno
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .example_files import pack, unpack
from .record import SCHEMA_VERSION, Record, RecordError, from_json, to_json

MARKER = "sparsebench.json"
RECORDS = "records"
"""Folder of the records, inside the result folder."""
_TEMPORARY = ".tmp"
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What file systems answer that cannot put a folder to the disk by itself; some network file systems cannot."""


class StoreError(RuntimeError):
    """The result folder cannot be used; the message is one line and says what to do."""


class SchemaTooNew(StoreError):  # noqa: N818 -- reads better in `except SchemaTooNew`
    """The result folder was written by a newer sparsebench."""


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
            probe = folder / f".now.{secrets.token_hex(4)}{_TEMPORARY}"
            probe.touch()
            newest = probe.stat().st_mtime - older_than
            for leftover in folder.glob(f".*{_TEMPORARY}"):
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
            version = json.loads(read_file(marker))["schema_version"]
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(f"no results in {self.folder}: `sparsebench run --out {self.folder}` makes some") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{marker} cannot be read ({error}): is this a result folder?") from None
        if not isinstance(version, int) or version < 1:
            raise StoreError(f"{marker} has schema_version {version!r}: is this a result folder?")
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(
                f"{self.folder} was written with schema {version}, this version reads up to {SCHEMA_VERSION}: "
                "`pip install --upgrade sparsebench`"
            )
        return self

    def write(self, record: Record, examples: dict[str, list[Any]] | None = None) -> Record:
        """Writes one record, its per-example outcomes first, and returns it as written (with `examples` set).

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
            KeyError: no such record.
            RecordError: the file is not a whole, valid record of that id.
        """
        path = self.records / f"{id}.json"
        try:
            return read_record(path)
        except FileNotFoundError:
            raise KeyError(id) from None

    def read_examples(self, id: str) -> dict[str, list[Any]] | None:
        """The per-example outcomes of one record, or None if it has none. Raises `RecordError` for a broken file."""
        try:
            content = read_file(self.examples / f"{id}.json.gz")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordError(f"examples of {id} cannot be read: {error.strerror or error}") from error
        return unpack(id, content)

    def ids(self) -> list[str]:
        """The ids of all record files, sorted, without opening them."""
        return [path.stem for path in self._files() if path.suffix == ".json"]

    def read_all(self) -> tuple[list[Record], list[Problem]]:
        """Every record that can be read, by id, and every file that cannot, with the reason.

        All of it is in memory then, details and curves too: where there may be many, read an index (`index/`).
        """
        records = []
        problems = []
        for path in self._files():
            try:
                records.append(read_record(path))
            except (RecordError, OSError) as error:
                problems.append(Problem(path, str(error)))
        return records, problems

    def _files(self) -> list[Path]:
        """Files of `records/`, sorted; hidden ones (temporary files among them) are nobody's record."""
        if not self.records.is_dir():
            return []
        with os.scandir(self.records) as entries:
            return [self.records / name for name in sorted(e.name for e in entries if not e.name.startswith("."))]


def read_record(path: Path) -> Record:
    """The record in a file.

    Raises:
        RecordError: the file is not a whole, valid record of the id that its name says.
        OSError: the file cannot be read.
    """
    text = read_file(path)
    if path.suffix != ".json":
        raise RecordError("not a record: the name does not end in .json")
    if not text.rstrip().endswith(b"}"):
        raise RecordError(f"truncated: {len(text)} bytes, the end is missing")
    record = from_json(text)
    if record.id != path.stem:
        raise RecordError(f"foreign: the file holds record {record.id!r}")
    return record


def stores_in(folder: Path) -> list[Path]:
    """The result folders that lie directly in a folder, by name."""
    return [marker.parent for marker in sorted(folder.glob(f"*/{MARKER}"))]


def read_file(path: Path) -> bytes:
    """What is in a regular file: opening a pipe would wait for a writer for ever.

    Raises `RecordError` for anything but a file, and `OSError`.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise RecordError(f"{path.name} is a folder in the place of a file: move it away")
    if not stat.S_ISREG(mode):
        raise RecordError(f"{path.name} is a pipe, a socket or a device in the place of a file: remove it")
    return path.read_bytes()


def write_whole(path: Path, content: bytes) -> None:
    """All of `content` or nothing, whatever happens in between; it is on the disk when this returns.

    To a temporary file in the same folder, to the disk, then renamed; the new name is in the folder, so that goes to
    the disk, too. Raises `OSError`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Put the names in a folder to the disk, so that a power cut loses none. Raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def explain_os_error(folder: Path, error: OSError) -> str:
    """One line: that the result folder cannot be written, why, and what mends it."""
    if error.errno == errno.ENOENT and not folder.exists():
        return f"{folder} was removed, and its records with it: the same command makes them again"
    if error.errno == errno.ENOSPC:
        return f"no space left for {folder}: free some, then give the same command again"
    if error.errno == errno.EISDIR and error.filename is not None:
        place = error.filename2 or error.filename
        return f"{place} is a folder in the place of a file: move it away, then give the same command again"
    return f"{folder} cannot be written ({error.strerror or error}): choose another folder with --out"
