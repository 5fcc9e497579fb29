"""Process groups and how they end, so that nothing that a cell started outlives it."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path

NAME_OF_PROCESS = 15
DEATH_SIGNAL = 1
ADOPT_ORPHANS = 36
"""Options of Linux' prctl (linux/prctl.h): PR_SET_NAME, PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER."""
LINUX = sys.platform == "linux"
LOOK_SECONDS = 0.2


def set_name(name: str) -> None:
    """Show this process as `name` (at most 15 bytes) in `ps` and `top`; does nothing but on Linux."""
    _prctl(NAME_OF_PROCESS, name.encode())


def adopt_orphans() -> None:
    """Descendants whose own parent has ended become children of this process, and can be found; Linux alone."""
    _prctl(ADOPT_ORPHANS, 1)


def ask_to_end_with(parent: int) -> None:
    """Have SIGTERM sent to this process when its parent, process `parent`, ends; Linux alone."""
    if _prctl(DEATH_SIGNAL, signal.SIGTERM) and os.getppid() != parent:  # it ended before the kernel was asked
        os.kill(os.getpid(), signal.SIGTERM)


def start_shielded(process: BaseProcess) -> None:
    """Start a process of multiprocessing's "spawn" kind that no Ctrl-C reaches until it calls `ignore_interrupts`.

    It would end with a traceback where the signal met its imports, before it could have said that it ignores it.
    """
    resource_tracker.ensure_running()  # its own start, which that of a process brings, lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C, here and in all that this process starts: the run answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which forgets what waited
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def end_with(parent: int) -> None:
    """Have this process killed when its parent, process `parent`, ends.

    On Linux the kernel does it, even to a process that holds the interpreter lock in one endless call. Elsewhere a
    thread looks whether the parent is still there, which needs that lock now and then.
    """
    if not _prctl(DEATH_SIGNAL, signal.SIGKILL):
        threading.Thread(target=_follow, args=(parent,), name="follows the parent", daemon=True).start()
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def kill_group(leader: int) -> None:
    """Kill a process, its children and theirs, unless they have left its group; nothing if there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS says so of the dead
        os.killpg(leader, signal.SIGKILL)


def children() -> list[int]:
    """The child processes of this process, those that have ended and were not waited for included."""
    tasks = Path("/proc/self/task")
    found: list[int] = []
    try:
        for task in tasks.iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
                found += map(int, (task / "children").read_text().split())
    except FileNotFoundError:
        found = _children_by_psutil()
    return found


def end_children() -> None:
    """Kill the children of this process, and theirs as they become its own (`adopt_orphans`), until none is left."""
    with contextlib.suppress(ChildProcessError):  # there are no more
        while True:
            for pid in children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children_by_psutil() -> list[int]:
    """Where the kernel does not list them."""
    import psutil

    return [child.pid for child in psutil.Process().children()]


def how_it_ended(code: int) -> str:
    """An exit code of `os.waitstatus_to_exitcode` in words."""
    if code >= 0:
        return f"worker process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # real-time signals have no names
        name = f"signal {-code}"
    hint = ""
    if name == "SIGKILL":
        hint = " (the system kills with SIGKILL when memory runs out)"
    return f"worker process killed by {name}{hint}"


def _prctl(option: int, argument: int | bytes) -> bool:
    """Whether the kernel did what was asked."""
    return LINUX and ctypes.CDLL(None).prctl(option, argument, 0, 0, 0) == 0


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)
