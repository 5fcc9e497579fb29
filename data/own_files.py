"""A file or folder of the user's own that a task names among its sources: `file:~/chemistry/solubility.csv`.

Its content is in the identity of every cell that names it (`identity`), so that a score never outlives a change of it.
"""

import os
from pathlib import Path

from .errors import LocalFolderError, UnknownSource

PREFIX = "file:"


def is_own_file(name: str) -> bool:
    """Whether a source is a file or folder that its name says the place of."""
    return name.startswith(PREFIX)


def own_place(name: str) -> Path:
    """Where `file:PLACE` lies, there or not; the place begins with `/`, `~` or `$VARIABLE`.

    Raises:
        UnknownSource: the place hangs on the working directory, or on a variable that is not set.
    """
    place = Path(os.path.expandvars(name.removeprefix(PREFIX))).expanduser()
    if not place.is_absolute():
        raise UnknownSource(f"source {name!r}: give the whole place, from `/`, `~` or a `$VARIABLE` that is set")
    return place


def existing_place(name: str) -> Path:
    """Where `file:PLACE` lies.

    Args:
        name: `file:PLACE`.

    Raises:
        LocalFolderError: there is nothing, or what `own_place` raises.
    """
    place = own_place(name)
    if not place.exists():
        raise LocalFolderError(f"source {name!r}: there is no {place}; put it there, or correct `sources` of the task")
    return place
