"""Mistakes of the user: one line, what is wrong and what mends it; the command line exits with 2."""

from sparsebench.data.errors import near

__all__ = ["ExecutorError", "UsageError", "near"]


class UsageError(ValueError):
    """The command, the profile or the result folder cannot be used as given. Nothing was written."""


class ExecutorError(RuntimeError):
    """No cell can run: workers die while they start, nobody answers, what is needed is not installed."""
