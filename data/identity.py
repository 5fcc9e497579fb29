"""What identifies the content of a source, where that may be a folder of the user's."""

import hashlib
import os
from pathlib import Path

from .cache.digests import digest_once
from .manifest import fingerprint, source

BY_CONTENT = ("own-text",)
"""Folders of the user's that are whatever the user puts there: identified by the content of all of their files."""


def identity(name: str) -> str:
    """The `fingerprint` of a source; of a folder in `BY_CONTENT` that is there, the sha256 of its paths and contents.

    Files are read again only when they have changed (`digest_once`); names that start with a dot do not count.
    """
    if name in BY_CONTENT:
        named = os.environ.get(source(name).environment)
        if named and Path(named).expanduser().is_dir():
            return _folder_digest(Path(named).expanduser())
    return fingerprint(name)


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in path.parts)
        if not hidden and file.is_file():
            digest.update(f"{path.as_posix()} {digest_once(file)}\n".encode())
    return digest.hexdigest()
