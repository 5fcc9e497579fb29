"""Files of a result folder: read if they are files at all, and written whole or not at all."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from .record_limits import RecordError

TEMPORARY = ".tmp"
"""How the names of files end that are being written."""
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What file systems answer that cannot put a folder to the disk by itself; some network file systems cannot."""


def read_file(path: Path) -> bytes:
    """What is in a regular file: opening a pipe would wait for a writer for ever.

    Raises:
        RecordError: the path leads to anything but a file.
        OSError: it cannot be read.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise RecordError(f"{path.name} is a folder in the place of a file: move it away")
    if not stat.S_ISREG(mode):
        raise RecordError(f"{path.name} is a pipe, a socket or a device in the place of a file: remove it")
    return path.read_bytes()


def temporary_beside(path: Path) -> Path:
    """A hidden name in the same folder that nobody has."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY}")


def write_whole(path: Path, content: bytes) -> None:
    """All of some bytes or nothing, whatever happens in between; it is on the disk when this returns.

    To a temporary file in the same folder, to the disk, then renamed; the new name is in the folder, so that goes to
    the disk, too.

    Args:
        path: the file, which may be there already.
        content: what it holds afterwards.

    Raises:
        OSError: the folder cannot be written.
    """
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_all(folder: Path, files: Mapping[str, str]) -> None:
    """Texts into a folder, which is made if it is missing; where one of them cannot be written, none is.

    Args:
        folder: where to; files of these names are replaced.
        files: texts by name.

    Raises:
        OSError: the folder cannot be written.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    temporary = {name: temporary_beside(folder / name) for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            temporary[name].write_text(text, encoding="utf-8", newline="")
        for name, path in temporary.items():
            path.replace(folder / name)
    except OSError:
        with contextlib.suppress(OSError):
            for path in temporary.values():
                path.unlink(missing_ok=True)
            for place in made:
                place.rmdir()
        raise


def check_folder(folder: Path) -> None:
    """Raise `NotADirectoryError` where no folder can be, since a file lies in its place or above it."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))


def sync_folder(folder: Path) -> None:
    """Put the names in a folder to the disk, so that a power cut loses none. Raises `OSError` if it cannot be read."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
