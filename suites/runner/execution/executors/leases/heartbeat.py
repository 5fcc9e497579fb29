"""Heart-beats on the clock of the shared file system, so that wrong clocks of machines do no harm."""

import contextlib
import os
import threading
from pathlib import Path

BEATS_A_LEASE = 10
"""So many beats must be missed before a process is taken for lost."""


class Heartbeat:
    """A file whose time of change a thread renews for as long as this process lives and is not stopped.

    Args:
        path: the file; it is there already.
        lease: seconds without a beat after which others take this process for lost.
    """

    def __init__(self, path: Path, lease: float) -> None:
        self._path = path
        self._seconds = lease / BEATS_A_LEASE
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Seconds on the clock of the shared file system: the time that it gives to a file changed now.

        Raises `FileNotFoundError` where others have removed the file.
        """
        os.utime(self._path)
        return last_beat(self._path)

    def stop(self) -> None:
        """No further beats."""
        self._stopped.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._stopped.wait(self._seconds):
            with contextlib.suppress(OSError):  # out of reach for now, or removed: `now` says so to the run itself
                os.utime(self._path)


def last_beat(path: Path) -> float:
    """When a file was last changed, in seconds on the file system's clock. Raises `FileNotFoundError`.

    It is opened first: network file systems remember the times of files for a while, but ask again when one is opened.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.fstat(handle).st_mtime
    finally:
        os.close(handle)
