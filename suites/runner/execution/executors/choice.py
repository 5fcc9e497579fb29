"""Which executor runs the cells, by its name on the command line."""

from pathlib import Path

from .interface import Executor, Options
from .local.executor import LocalExecutor


def open_executor(folder: Path, options: Options) -> Executor:
    """The executor that the options name, for cells whose records go into `folder`."""
    return LocalExecutor(folder, options)
