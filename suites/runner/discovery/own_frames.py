"""The line of a user's own file in which an error came up: not of Python, of an installed package, or of ours."""

import os
import sysconfig
import traceback
from pathlib import Path

from .closure import HOME

PACKAGES = ("site-packages", "dist-packages")
OURS = ("models", "data", "suites", "reports")


def own_place(error: BaseException) -> str:
    """Where the last frame of a user's own file is, for the end of a message.

    Args:
        error: as it was caught.

    Returns:
        " (mymethod.py:12)"; "" where no frame is of such a file.
    """
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = frame.f_code.co_filename
        if _is_own(file):
            return f" ({Path(file).name}:{line})"
    return ""


def _is_own(file: str) -> bool:
    if file.startswith("<") or not set(PACKAGES).isdisjoint(Path(file).parts):
        return False
    known = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *(HOME / folder for folder in OURS)]
    return not file.startswith(tuple(f"{folder}{os.sep}" for folder in known))
