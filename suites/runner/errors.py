"""Mistakes of the user: one line, what is wrong and what mends it; the command line exits with 2."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """The command, the profile or the result folder cannot be used as given. Nothing was written."""


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean a, b?`, or all known names when none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {', '.join(close)}?"
    return f"; known: {', '.join(names)}" if names else ""
