"""The command line: options, commands, and the entry point `main`. Nothing heavy is imported before it is needed."""

from ..interrupts import end_at_once

__all__ = ["main"]


def main() -> None:
    """Entry point. Ctrl-C ends the process while it imports (`..interrupts`)."""
    end_at_once()
    from .app import main as call

    call()
