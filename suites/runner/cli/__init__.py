"""The command line: options, commands, and the entry point `main`. Nothing heavy is imported before it is needed."""

import sys

from sparsebench.models.errors import not_installed

from ..interrupts import end_at_once

__all__ = ["main"]


def main() -> None:
    """Entry point. Ctrl-C ends the process while it imports (`..interrupts`); a missing extra is one line."""
    end_at_once()
    try:
        from .app import main as call

        call()
    except ModuleNotFoundError as error:
        said = not_installed(error)
        if said is None:
            raise
        sys.stderr.write(f"sparsebench: {said}\n")
        sys.exit(2)
