"""The terminal, for texts that may hold anything: names and error messages of plug-ins, paths of users."""

from typing import IO

from rich.console import Console


def open_console(file: IO[str] | None = None, width: int | None = None) -> Console:
    """A console that prints every text as it is: brackets are no markup, `:name:` is no picture.

    Args:
        file: where to print; the standard output unless given.
        width: in characters; that of the terminal unless given.
    """
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)
