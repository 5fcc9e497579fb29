"""Ctrl-C: an end at once while a command imports and plans, an exception as soon as there is something to clear up.

What is imported may swallow the exception, or be left half done by it: the command went on then, or ended in a
traceback.
"""

import os
import signal
from types import FrameType

STOPPED = 130
"""The exit code."""


def quit_at_once() -> None:
    """From here on Ctrl-C ends the process in the same moment: there is nothing yet that it would have to clear up.

    Nothing changes where it is ignored (`nohup`, `&`) or somebody else's.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _quit)


def raise_again() -> None:
    """From here on it is `KeyboardInterrupt` again, if `quit_at_once` had changed that."""
    if signal.getsignal(signal.SIGINT) is _quit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _quit(number: int, frame: FrameType | None) -> None:
    os.write(2, b"\nsparsebench: stopped\n")
    os._exit(STOPPED)
