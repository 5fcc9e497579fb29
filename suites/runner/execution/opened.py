"""A file that a cell opens and that no part of its identity covers ends the cell, with the line to write.

An audit hook of Python sees every `open` in the cell's process and in what it forks. It does not see readers that open
files in C++ by themselves (pyarrow, safetensors, RDKit's suppliers): what they read has to be named by hand.
"""

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparsebench.data.errors import ChecksumError
from sparsebench.data.fetching import is_fetching
from sparsebench.data.identity import is_unpinned
from sparsebench.data.own_files import PREFIX

from ..identity.cell import Cell, cell_key
from ..identity.weights import any_unpinned
from .readable import Readable, whole

EVENTS = ("open", "sqlite3.connect")


class UnnamedFileError(RuntimeError):
    """A cell opened a file that its identity does not cover: its score would outlive a change of that file."""


@contextmanager
def only_named_files(cell: Cell, checkpoints: Path | None) -> Iterator[None]:
    """Refuse other files inside the block, in all threads of the process; files of the user's are those of the plan.

    Raises:
        UnnamedFileError: a file was opened that nothing names; from `open` itself, and again at the end of the block
            where somebody caught that.
        ChecksumError: what a source of the user's holds is not what the cell was planned with.
    """
    global _watch
    _install()
    _verify_unpinned(cell)
    before = _watch
    watch = _Watch(cell, checkpoints)
    _watch = watch
    try:
        yield
    finally:
        _watch = before
    if watch.refused is not None:
        raise UnnamedFileError(watch.refused)
    _verify_unpinned(cell)


class _Watch:
    """What one cell opens."""

    def __init__(self, cell: Cell, checkpoints: Path | None) -> None:
        self._cell = cell
        self._readable = Readable(cell, checkpoints)
        self._seen: set[str] = set()
        self.refused: str | None = None

    def look(self, path: str) -> None:
        """Raises `UnnamedFileError` unless the file may be read."""
        if path in self._seen:
            return
        self._seen.add(path)
        if Path(path).is_file() and not self._readable.allows(path):
            self.refused = self.refused or _advice(self._cell, path)
            raise UnnamedFileError(self.refused)


_watch: _Watch | None = None


@functools.cache
def _install() -> None:
    """A hook cannot be taken out again; outside of a cell it does nothing."""
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _watch
    if watch is None or event not in EVENTS or is_fetching():
        return
    path = arguments[0]
    if isinstance(path, str | bytes | os.PathLike) and not _writes(*arguments[1:]):
        watch.look(whole(os.fsdecode(path)))


def _writes(mode: object = None, flags: int = 0) -> bool:
    """Whether nothing of what is there can be read."""
    return flags & os.O_ACCMODE == os.O_WRONLY or bool(flags & (os.O_TRUNC | os.O_EXCL))


def _advice(cell: Cell, path: str) -> str:
    """The line to write; first, since what is said of a failure is cut after some hundred characters."""
    task = cell.parts.task
    sources = ", ".join(f'"{name}"' for name in (*task.sources, f"{PREFIX}{path}"))
    return (
        f"write `sources = ({sources},)` in {task.path.name}: the cell opened this file and nothing names it, "
        "so that its score would outlive a change of the file"
    )


def _verify_unpinned(cell: Cell) -> None:
    """The key of a cell covers what its user's own sources hold, so that another key says that they changed."""
    own = [name for name in cell.sources if is_unpinned(name)]
    if own and not any_unpinned(cell.weights) and cell_key(cell.info, cell.parts, cell.sources) != cell.key:
        raise ChecksumError(
            f"{', '.join(own)}: another content since the run was planned: give the `run` command again, "
            "which plans with what is there now"
        )
