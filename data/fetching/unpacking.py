"""Unpack archives that were verified: regular files only, and none outside the folder."""

import gzip
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import DownloadError, reason_of

MOST_BYTES = 2 << 30
"""An archive that unpacks to more is refused; the largest that is known here has 0.8 GB."""
MOST_FILES = 100_000
_PART = 1 << 20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)


def unpack(archive: Path, into: Path) -> None:
    """Unpack a wheel (zip) or a source archive (tar.gz, whose one top folder is dropped) as plain files.

    Links, devices and folders without files are not written, permissions are not taken over. Raises `DownloadError`
    for a name that points outside, an archive that cannot be read, and one that has more than `MOST_FILES` files or
    unpacks to more than `MOST_BYTES`, whatever sizes it states.
    """
    try:
        if archive.name.endswith(".whl"):
            _unzip(archive, into)
        else:
            _untar(archive, into)
    except _BROKEN as error:
        raise DownloadError(f"{archive.name} cannot be unpacked: {reason_of(error)}") from error


class Room:
    """How many bytes and files an archive may still give. Raises `DownloadError` where it gives more."""

    def __init__(self, archive: str) -> None:
        self._name = archive
        self._bytes = MOST_BYTES
        self._files = MOST_FILES

    def take_file(self) -> None:
        """One member more. Raises `DownloadError` for one too many."""
        self._files -= 1
        if self._files < 0:
            raise DownloadError(f"{self._name} has more than {MOST_FILES} files: not unpacked")

    def write(self, content: IO[bytes], name: str, into: Path) -> None:
        """Write one member below ``into``. Raises `DownloadError` for a name that points outside, too."""
        target = into / inside(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:  # x: a name that comes twice, or through what was written before, is refused
            while part := content.read(_PART):
                self._bytes -= len(part)
                if self._bytes < 0:
                    raise DownloadError(f"{self._name} unpacks to more than {MOST_BYTES >> 20} MiB: stopped there")
                file.write(part)


def inside(name: str) -> str:
    """A member's name as a path below a folder. Raises `DownloadError` if it is absolute or climbs out."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise DownloadError(f"the archive holds {name!r}, which would be written outside its folder: not unpacked")
    return str(path)


def _unzip(archive: Path, into: Path) -> None:
    room = Room(archive.name)
    with zipfile.ZipFile(archive) as wheel:
        members = [member for member in wheel.infolist() if not member.is_dir()]
        for member in members:
            inside(member.filename)
            room.take_file()
        for member in members:
            with wheel.open(member) as content:
                room.write(content, member.filename, into)


def _untar(archive: Path, into: Path) -> None:
    room = Room(archive.name)
    with tarfile.open(archive) as tar:
        members = []
        for member in tar:
            room.take_file()
            if member.isfile():
                inside(member.name)
                members.append(member)
        for member in members:
            _, _, name = member.name.partition("/")
            content = tar.extractfile(member)
            if name and content is not None:
                room.write(content, name, into)
