"""Whether a folder of the user's is named, for who would rather say that it is not than fail."""

import os

from ..manifest import source


def not_named(name: str) -> str | None:
    """Why a source is not there, if it is a folder of the user's and its variable names none; None otherwise.

    Nothing is read.
    """
    about = source(name)
    if not about.environment or os.environ.get(about.environment):
        return None
    return f"{about.name} is a folder of yours: set {about.environment} to it; {about.note}"
