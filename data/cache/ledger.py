"""Which verified files this process reads, so that a record can name what its cell read and not what it declared."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class FileRead:
    """One file: the source, derived folder or user's folder that it lies in, its path below that, size and sha256."""

    place: str
    name: str
    size: int
    sha256: str


class Reads:
    """The files read while this list was open, each once."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], FileRead] = {}

    def add(self, read: FileRead) -> None:
        """Note one file; a file that changed and was read again counts as it was the last time."""
        self._files[read.place, read.name] = read

    def files(self) -> tuple[FileRead, ...]:
        """All of them, in the order of place and name."""
        return tuple(self._files[key] for key in sorted(self._files))


_open: list[Reads] = []
"""Lists that are being filled: that of a cell, and those of `cached_reads` inside it."""


def note(read: FileRead) -> None:
    """Add a file that was verified to all open lists."""
    for reads in _open:
        reads.add(read)


@contextmanager
def reading() -> Iterator[Reads]:
    """A list of what is read inside the block, in all threads of the process."""
    reads = Reads()
    _open.append(reads)
    try:
        yield reads
    finally:
        _open.remove(reads)


def cached_reads(maxsize: int | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """As `functools.lru_cache`, for functions that read files: what is given from memory still counts as read.

    Without it, only the first cell of a worker would name the files behind a value that later cells share.
    """

    def wrap(function: Callable[P, T]) -> Callable[P, T]:
        @functools.lru_cache(maxsize)
        def kept(*args: P.args, **keywords: P.kwargs) -> tuple[T, tuple[FileRead, ...]]:
            with reading() as reads:
                value = function(*args, **keywords)
            return value, reads.files()

        @functools.wraps(function)
        def call(*args: P.args, **keywords: P.kwargs) -> T:
            value, reads = kept(*args, **keywords)
            for read in reads:
                note(read)
            return value

        call.cache_clear = kept.cache_clear  # type: ignore[attr-defined]
        return call

    return wrap
