"""Which executor runs the cells, by its name on the command line. Only the chosen one is imported."""

from pathlib import Path

from ...errors import UsageError, near
from .interface import Executor, Options

EXECUTORS = ("local",)
WITH_ADDRESS = ()
"""Those that can be told where to find what runs already."""


def check_choice(options: Options) -> None:
    """Raises `UsageError` for an unknown executor and for an address that it has no use for."""
    name = options.executor
    if name not in EXECUTORS:
        raise UsageError(f"unknown executor {name!r}{near(name, EXECUTORS)}")
    if options.address is not None and name not in WITH_ADDRESS:
        raise UsageError(f"--address {options.address}: --executor {name} has no use for it; leave it out")


def open_executor(folder: Path, options: Options) -> Executor:
    """The executor that the options name, for cells whose records go into `folder`. Raises `UsageError`."""
    check_choice(options)
    from .local.executor import LocalExecutor

    return LocalExecutor(folder, options)
