"""One run per result folder, and no orphans: a new run waits until the workers of a killed one are gone.

The run holds `run.lock` alone. Its workers share `workers.lock`, and end with their parent; the next run takes
`workers.lock` alone for a moment before it reads the folder, so that no cell is ever run twice side by side.

The workers' locks are POSIX locks: they belong to a process, and no child that a cell forks can inherit one.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import UsageError

RUN_LOCK = "run.lock"
WORKERS_LOCK = "workers.lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""What file systems answer that have no locks. Who holds a folder is known from its part `leases`, too."""
POLL_SECONDS = 0.1
QUIET_SECONDS = 2
"""How long a run waits before it says for whom."""
MOST_SECONDS = 120
"""How long it waits before it gives up."""


@contextmanager
def sole_run(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the result folder for one run.

    Args:
        folder: the result folder.
        say: told whom the run waits for.

    Raises:
        UsageError: another run holds the folder, or workers of an earlier one do not end.
    """
    with _held(folder, fcntl.LOCK_EX, say):
        yield


@contextmanager
def shared_run(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the result folder together with other processes (`executors/leases`).

    Arguments are those of `sole_run`, and so are the errors: a run that has the folder for itself lets nobody in.
    """
    with _held(folder, fcntl.LOCK_SH, say):
        yield


@contextmanager
def _held(folder: Path, kind: int, say: Callable[[str], None]) -> Iterator[None]:
    with _open(folder / RUN_LOCK) as lock:
        _lock(lock, kind, f"another run is writing to {folder}: wait for it, or choose another --out")
        with _open(folder / WORKERS_LOCK) as workers:
            _wait_for_workers(workers, folder, say)
        yield


@contextmanager
def sole_writer(file: Path, complaint: str) -> Iterator[None]:
    """Hold a lock file, which is made.

    Args:
        file: where it is to be.
        complaint: the error where another process holds it.

    Raises:
        UsageError: with that.
    """
    with _open(file) as lock:
        _lock(lock, fcntl.LOCK_EX, complaint)
        yield


def _lock(lock: IO[str], kind: int, complaint: str) -> None:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(complaint) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def hold_as_worker(folder: Path) -> None:
    """Share `workers.lock` until this process ends; waits while a new run is taking the folder over.

    Raises `SystemExit` where the folder is gone, with a run that others ended (`executors/leases`).
    """
    try:
        # Closing any handle of a file gives up all POSIX locks on it, so this one stays open.
        handle = os.open(folder / WORKERS_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError:
        raise SystemExit(1) from None
    try:
        fcntl.lockf(handle, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _open(path: Path) -> IO[str]:
    """A lock to hold, which is not emptied, and never through a link: the folder may be somebody else's work."""
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+")
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UsageError(f"{path} is a link, which is not followed: remove it") from None


def _wait_for_workers(lock: IO[str], folder: Path, say: Callable[[str], None]) -> None:
    start = time.monotonic()
    said = False
    while not _taken(lock):
        waited = time.monotonic() - start
        if waited > MOST_SECONDS:
            raise UsageError(
                f"workers of an earlier run still hold {folder} after {MOST_SECONDS} s: end {holders(folder)}, "
                "then give the same command again"
            )
        if waited > QUIET_SECONDS and not said:
            said = True
            say(f"waiting for workers of an earlier run to end: {holders(folder)}")
        time.sleep(POLL_SECONDS)


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def holders(folder: Path) -> str:
    """The processes that have `workers.lock` of a folder open, for people."""
    import psutil

    path = str((folder / WORKERS_LOCK).resolve())
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(file.path == path for file in process.open_files()):
                found.append(f"{process.name()} (process {process.pid})")
        except psutil.Error:  # it has just ended, or belongs to another user
            continue
    return ", ".join(found) or "processes of another user or on another machine"
