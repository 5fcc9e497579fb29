"""The command line: options, commands, and the entry point `main`. Nothing heavy is imported before it is needed."""

from .app import app, main

__all__ = ["app", "main"]
