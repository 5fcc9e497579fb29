"""The cache folder: content is built next to its place under a lock, checked, sealed, then moved in by one rename."""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import ChecksumError, DownloadError
from ..manifest import FileEntry
from .digests import digest_once
from .seal import read_seal, seal


def cache_root() -> Path:
    """``$SPARSEBENCH_CACHE``, else ``sparsebench`` in the user's cache folder (``~/.cache``)."""
    chosen = os.environ.get("SPARSEBENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparsebench"


def verify(folder: Path, entry: FileEntry, remedy: str) -> None:
    """Check that a file has the pinned size and sum.

    Args:
        folder: where it lies.
        entry: its name below the folder, size and sha256.
        remedy: ends the message of the error: what the reader can do.

    Raises:
        ChecksumError: the file is missing or is another one.
    """
    file = folder / entry.name
    if not file.is_file():
        raise ChecksumError(f"{entry.name}: expected a file with sha256 {entry.sha256}, but there is none; {remedy}")
    size, found = file.stat().st_size, digest_once(file)
    if found != entry.sha256 or size != entry.size:
        raise ChecksumError(
            f"{entry.name}: wrong checksum: expected sha256 {entry.sha256} ({entry.size} bytes), "
            f"found {found} ({size} bytes); {remedy}"
        )


def is_complete(folder: Path, identity: Mapping[str, str]) -> bool:
    """Whether a folder was built to its end, from the content that is meant.

    Args:
        folder: a folder of the cache.
        identity: names the content.

    Returns:
        False too where there is no such folder.
    """
    sealed = read_seal(folder)
    return sealed is not None and sealed.identity == dict(identity)


def build_once(folder: Path, identity: Mapping[str, str], fill: Callable[[Path], None], *, again: bool = False) -> Path:
    """A folder of the cache; where it is not complete, it is filled first, in a temporary folder.

    Processes that ask for the same folder at once wait for the first; whatever stops `fill`, no broken folder stays
    behind. What is in it is checked by `seal.check`, not here.

    Args:
        folder: the folder.
        identity: names the content; a folder with another one is built again.
        fill: writes the content into an empty folder.
        again: fill it even if it is complete.

    Returns:
        `folder`.

    Raises:
        DownloadError: the disk is full, or the cache cannot be written.
    """
    if is_complete(folder, identity) and not again:
        return folder
    from filelock import FileLock

    partial = folder.with_name(folder.name + ".partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if again or not is_complete(folder, identity):
                _build(folder, partial, identity, fill)
    except OSError as error:
        raise DownloadError(_explain(error, folder)) from error
    return folder


def _build(folder: Path, partial: Path, identity: Mapping[str, str], fill: Callable[[Path], None]) -> None:
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    try:
        partial.mkdir()
        fill(partial)
        seal(partial, identity)
        shutil.rmtree(folder, ignore_errors=True)  # a folder without a valid marker is broken
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _explain(error: OSError, folder: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"no space left on the disk of {folder.parent}; free some, or set SPARSEBENCH_CACHE to another disk"
    return f"cannot write {folder}: {error.strerror or error}; set SPARSEBENCH_CACHE to a folder that you can write"
