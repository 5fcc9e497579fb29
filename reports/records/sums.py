"""The sums of a result folder: what its records and their examples were when the run that made them ended.

SHA256SUMS          a line for each file, as `sha256sum` writes it (`sha256sum -c SHA256SUMS` checks them, too)
sparsebench.json    {"schema_version": 4, "sums": the sha256 of that list}

A run takes the cells that it is about to make out of the list, and puts them in when it ends. So all that is in the
list has to fit at any time, and what is not in it belongs to a run that goes on or was stopped. A file that was listed
keeps the sum that it had: a later run does not hide that somebody changed it.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .files import write_whole
from .frozen import EXAMPLES_FILE, RECORDS_FILE
from .store import MARKER, Store, StoreError, explain_os_error

SUMS = "SHA256SUMS"
KEY = "sums"
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")


@dataclass(frozen=True)
class Fit:
    """How the files of a folder fit its list; paths are inside the folder."""

    listed: int = 0
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    broken: str = ""
    """What is wrong with the list itself."""

    @property
    def fits(self) -> bool:
        """Whether all that is listed is there, as it was; so it is where there is no list."""
        return not (self.changed or self.missing or self.broken)


def forget(store: Store, ids: Collection[str]) -> None:
    """Take records that are about to be made out of the list, if the folder has one. Raises `StoreError`."""
    listed = _read(store.folder)
    kept = {path: sha256 for path, sha256 in listed.items() if _id(path) not in ids}
    if kept != listed:
        _write(store.folder, kept)


def seal(store: Store, ids: Collection[str]) -> None:
    """List all files of the folder: those of the records `ids`, and what was not listed yet, as they are now.

    Raises:
        StoreError: a file cannot be read, or the list not be written.
    """
    listed = _read(store.folder)
    kept = {path: sha256 for path, sha256 in listed.items() if _id(path) not in ids}
    sums = {}
    try:
        for path in _paths(store):
            sums[path] = kept.get(path) or _sha256(store.folder / path)
    except OSError as error:
        raise StoreError(explain_os_error(store.folder, error)) from error
    if sums != listed or not _is_named(store.folder):
        _write(store.folder, sums)


def compare(store: Store) -> Fit:
    """Look at every file of the folder. Raises `OSError` where one cannot be read."""
    if not _named(store.folder):
        return Fit(unlisted=tuple(_paths(store)))
    listed = _read(store.folder)
    here = set(_paths(store))
    changed = [path for path in listed if path in here and _sha256(store.folder / path) != listed[path]]
    broken = ""
    if not (store.folder / SUMS).exists():
        broken = f"{SUMS}, which {MARKER} names, is not there"
    elif not _is_named(store.folder):
        broken = f"{SUMS} is not the list that {MARKER} names"
    missing = sorted(listed.keys() - here)
    return Fit(len(listed), tuple(changed), tuple(missing), tuple(sorted(here - listed.keys())), broken)


def _paths(store: Store) -> list[str]:
    """All records and examples, frozen ones too, in order."""
    found = []
    for folder, suffix in ((store.records, ".json"), (store.examples, ".json.gz")):
        files = folder.glob(f"[!.]*{suffix}")
        found += [f"{folder.name}/{file.name}" for file in files if file.is_file()]
    found += [name for name in (RECORDS_FILE, EXAMPLES_FILE) if (store.folder / name).is_file()]
    return sorted(found)


def _id(path: str) -> str:
    return path.rpartition("/")[2].partition(".json")[0]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(folder: Path) -> dict[str, str]:
    """The list; empty where there is none. Lines that are no sums are no part of it."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"{folder / SUMS} cannot be read: {error.strerror or error}") from error
    sums = {}
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            sums[found[2]] = found[1]
    return sums


def _write(folder: Path, sums: Mapping[str, str]) -> None:
    """The list, and then its name: a folder whose run is killed in between has no list that counts."""
    text = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(sums.items())).encode()
    try:
        about = json.loads((folder / MARKER).read_bytes())
        about.pop(KEY, None)
        write_whole(folder / MARKER, json.dumps(about).encode())
        write_whole(folder / SUMS, text)
        about[KEY] = hashlib.sha256(text).hexdigest()
        write_whole(folder / MARKER, json.dumps(about).encode())
    except OSError as error:
        raise StoreError(explain_os_error(folder, error)) from error


def _named(folder: Path) -> str:
    """The sha256 of the list that the folder names; empty for folders from before there were lists."""
    return str(json.loads((folder / MARKER).read_bytes()).get(KEY, ""))


def _is_named(folder: Path) -> bool:
    file = folder / SUMS
    return file.exists() and _sha256(file) == _named(folder)
