"""What identifies the content of a source, where that may be a folder of the user's."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from .cache.digests import digest_once
from .manifest import fingerprint, is_further, source
from .own_files import is_own_file, own_place

BY_LISTS = ("vtab-1k",)
"""Folders with too many files to read each time: identified by their lists and the sums beside them. Records name the
images that a cell read with their own sums."""
LISTS = ("*/*.txt", "*/SHA256SUMS")
BY_CONTENT = (
    "own-text",
    "own-images",
    "own-labelled-text",
    "own-molecules",
    "own-conversations",
    "cifar10",
    "glue",
    "qm9-labels",
)
"""Folders of the user's that are whatever the user puts there: identified by the content of all of their files; a zip
file, by its own."""


def identity(name: str) -> str:
    """The `fingerprint` of a source; of a folder in `BY_CONTENT` that is there, the sha256 of its paths and contents.

    So it is of a folder `file:PLACE`; of such a file, it is the sha256 of its content. Of one in `BY_LISTS`, it is that
    of its lists.

    Files are read again only when they have changed (`digest_once`); names that start with a dot do not count.
    """
    if is_own_file(name):
        return _of_own_file(name)
    if name in BY_LISTS or _is_by_content(name):
        named = os.environ.get(source(name).environment)
        place = Path(named).expanduser() if named else None
        if place is not None and place.is_dir():
            return _folder_digest(place, LISTS if name in BY_LISTS else ("**/*",))
        if place is not None and place.is_file() and source(name).archive:
            return digest_once(place)
    return fingerprint(name)


def _of_own_file(name: str) -> str:
    """What is not there yet is identified by its name alone."""
    place = own_place(name)
    if place.is_file():
        return digest_once(place)
    return _folder_digest(place, ("**/*",)) if place.is_dir() else fingerprint(name)


def is_unpinned(name: str) -> bool:
    """Whether a source is whatever its owner puts there, and is identified by the content of all of its files."""
    return _is_by_content(name) or is_own_file(name)


def _is_by_content(name: str) -> bool:
    """So is a folder that another package's source lets the user name, where no sums are pinned."""
    if name in BY_CONTENT:
        return True
    return is_further(name) and bool(source(name).environment) and not source(name).pinned


def _folder_digest(folder: Path, patterns: Sequence[str]) -> str:
    digest = hashlib.sha256()
    found: set[Path] = set()
    for pattern in patterns:
        found.update(folder.glob(pattern))
    for file in sorted(found):
        path = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in path.parts)
        if not hidden and file.is_file():
            digest.update(f"{path.as_posix()} {digest_once(file)}\n".encode())
    return digest.hexdigest()
