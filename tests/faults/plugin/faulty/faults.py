"""The faults, each a function of the seconds to sleep before."""

import os
import re
import signal
import subprocess
import sys
import time
import warnings

KEPT: list[object] = []
"""What is left running, so that nothing tidies it up."""


def nothing(nap: float) -> None:
    """Behaves."""
    time.sleep(nap)


def fork_and_return(nap: float) -> None:
    """The child comes back, too, and runs on as if it were the worker."""
    os.fork()


def fork_and_stay(nap: float) -> None:
    """The child lives on with all that the worker holds: locks, pipes."""
    if os.fork() == 0:
        time.sleep(300)
        os._exit(0)


def start_and_leave(nap: float) -> None:
    """A program is left behind."""
    KEPT.append(subprocess.Popen(["sleep", "300"]))


def hold_the_interpreter(nap: float) -> None:
    """One regular expression, for longer than the world lasts: no other thread of Python runs meanwhile."""
    re.match(r"(a+)+$", "a" * 40 + "b")


def hang(nap: float) -> None:
    """Sleeps."""
    time.sleep(300)


def stop(nap: float) -> None:
    """Stopped, as by Ctrl-Z."""
    os.kill(os.getpid(), signal.SIGSTOP)


def exit_hard(nap: float) -> None:
    """No goodbye."""
    os._exit(7)


def die_of_real_time_signal(nap: float) -> None:
    """A signal that has no name in Python's table."""
    os.kill(os.getpid(), signal.SIGRTMIN + 6)


def die_of_kill(nap: float) -> None:
    """As the system kills when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def segmentation_fault(nap: float) -> None:
    """Reads where nothing is."""
    import ctypes

    ctypes.string_at(0)


def system_exit(nap: float) -> None:
    """As an argument parser does."""
    sys.exit("usage: train [-h] --data DATA")


def interrupt(nap: float) -> None:
    """As some libraries do."""
    raise KeyboardInterrupt("somebody [else] wants to stop")


def brackets(nap: float) -> None:
    """A message that a terminal library would take for markup."""
    warnings.warn("[/red] is no colour", stacklevel=1)
    raise OSError("cannot open [/data/x.csv]")


def half_a_character(nap: float) -> None:
    """A message that no file can hold."""
    raise ValueError("name \udce9 of a file")


class MuteError(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def mute(nap: float) -> None:
    """An exception that cannot even be printed."""
    raise MuteError


def recursion(nap: float) -> None:
    """Without end."""
    recursion(nap)


def noise(nap: float) -> None:
    """Writes where the run writes."""
    sys.stdout.write("noise [/red]\n")
    os.write(2, b"noise \xff\n")


def close_output(nap: float) -> None:
    """Nothing can be printed afterwards."""
    sys.stdout.close()
    os.close(2)


def change_folder(nap: float) -> None:
    """Elsewhere."""
    os.chdir("/")
