"""One run per result folder, and no orphans: a new run waits until the workers of a killed one are gone.

The run holds `run.lock` alone. Its workers share `workers.lock`, and exit when their parent is gone; the next run takes
`workers.lock` alone for a moment before it reads the folder, so that no cell is ever run twice side by side.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError

POLL_SECONDS = 0.2


@contextmanager
def sole_run(folder: Path) -> Iterator[None]:
    """Hold the result folder for one run. Raises `UsageError` if another run holds it."""
    with (folder / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another run is writing to {folder}: wait for it, or choose another --out") from None
        with (folder / "workers.lock").open("w") as workers:
            fcntl.flock(workers, fcntl.LOCK_EX)
        yield


def enter_worker(folder: Path, parent: int) -> None:
    """Called once in a worker: share `workers.lock` until the process ends, and end with the parent."""
    lock = os.open(folder / "workers.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_SH)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


@contextmanager
def shared_run(folder: Path) -> Iterator[None]:
    """Hold the result folder together with other processes. Raises `UsageError` if a run has it for itself."""
    with (folder / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another run is writing to {folder}: wait for it, or choose another --out") from None
        yield
