"""What Ctrl-C does to a command: while it imports and plans, it ends it at once; later on, in order.

Python raises `KeyboardInterrupt` wherever it happens to be. Inside an import somebody may take that for a failure of
the import, or leave a module half made, and then the command goes on or ends with a complaint about something else.
"""

import os
import signal
from types import FrameType

INTERRUPTED = 130
"""Exit code, as shells have it: 128 and the number of the signal."""


def end_at_once() -> None:
    """From now on Ctrl-C ends this process; nothing if it is ignored, as in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def end_in_order() -> None:
    """Take `end_at_once` back: there are processes to end, or files to put away."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
