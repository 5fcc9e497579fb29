"""Folders for as long as a process lives, in the one folder of this user in the node's temporary folder.

All users of a node share its temporary folder, so what lies there may be a trap: a link in the place of a folder, or
of a file that is about to be written. Hence there is one folder a user, `sparsebench-ray-UID`, which must be the user's
own and closed to all others; what lies in it can be trusted, and what lies next to it is never looked at.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from time import time

from ....errors import ExecutorError

PREFIX = "sparsebench-ray-"
OWNER = "owner.lock"
YOUNG_SECONDS = 60


class Scratch:
    """A folder of this process's own; those of dead processes of the same user are removed.

    Args:
        parent: where all users' folders are; the temporary folder unless given.

    Raises:
        ExecutorError: the user's folder there is not one's own.
    """

    def __init__(self, parent: Path | None = None) -> None:
        home = own_folder(parent or Path(tempfile.gettempdir()))
        for folder in home.iterdir():
            _remove_if_orphaned(folder)
        self.folder = Path(tempfile.mkdtemp(prefix="", dir=home))
        self._lock = _open_lock(self.folder)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Give it up."""
        os.close(self._lock)
        shutil.rmtree(self.folder, ignore_errors=True)


def own_folder(parent: Path) -> Path:
    """The folder of this user below `parent`, made if it is not there. Raises `ExecutorError` if it is not safe."""
    user = os.geteuid()
    folder = parent / f"{PREFIX}{user}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = os.lstat(folder)
    problem = None
    if not stat.S_ISDIR(found.st_mode):
        problem = "is no folder"
    elif found.st_uid != user:
        problem = f"belongs to user {found.st_uid}, and this is user {user}"
    elif stat.S_IMODE(found.st_mode) & 0o077:
        problem = f"has mode {stat.S_IMODE(found.st_mode):o}, so that others can use it, too"
    if problem:
        raise ExecutorError(f"{folder} {problem}: remove it, or set TMPDIR to a folder of your own")
    return folder


def _remove_if_orphaned(folder: Path) -> None:
    """Remove the folder unless a process holds it, or has just made it and is about to, or another one removes it."""
    with contextlib.suppress(OSError):
        if time() - folder.stat().st_mtime < YOUNG_SECONDS:
            return
        lock = _open_lock(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(lock)


def _open_lock(folder: Path) -> int:
    """Never through a link, and what is in the file stays."""
    return os.open(folder / OWNER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
