"""sha256 of files; a file that has not changed is read once a process."""

import hashlib
import os
from pathlib import Path

_State = tuple[str, int, int, int, int]
_known: dict[_State, str] = {}


def sha256_of(file: Path) -> str:
    """Hex digest of a file's content, read now."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_once(file: Path) -> str:
    """Hex digest of a file's content, read again only when its size, times or inode are others than the last time.

    A worker runs many cells, and hashing half a gigabyte of weights for each of them would cost more than some cells.
    """
    state = _state(file, file.stat())
    if state not in _known:
        _known[state] = sha256_of(file)
    return _known[state]


def remember_digest(file: Path, digest: str) -> None:
    """Let `digest_once` know what another process has just read.

    Args:
        file: the file, which has not changed since.
        digest: of its content.
    """
    _known[_state(file, file.stat())] = digest


def _state(file: Path, stat: os.stat_result) -> _State:
    return str(file), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
