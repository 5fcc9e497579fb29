"""Unpack archives that were verified: regular files only, and none outside the folder."""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import DownloadError

_BROKEN = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)


def unpack(archive: Path, into: Path) -> None:
    """Unpack a wheel (zip) or a source archive (tar.gz, whose one top folder is dropped) as plain files.

    Links, devices and folders without files are not written, permissions are not taken over. Raises `DownloadError`
    for a name that points outside, and for an archive that cannot be read.
    """
    try:
        if archive.name.endswith(".whl"):
            _unzip(archive, into)
        else:
            _untar(archive, into)
    except _BROKEN as error:
        raise DownloadError(f"{archive.name} cannot be unpacked: {' '.join(str(error).split())}") from error


def write(content: IO[bytes], name: str, into: Path) -> None:
    """Write one member of an archive below ``into``. Raises `DownloadError` for a name that points outside."""
    target = into / inside(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:  # x: a name that comes twice, or through what was written before, is refused
        shutil.copyfileobj(content, file, 1 << 20)


def inside(name: str) -> str:
    """A member's name as a path below a folder. Raises `DownloadError` if it is absolute or climbs out."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise DownloadError(f"the archive holds {name!r}, which would be written outside its folder: not unpacked")
    return str(path)


def _unzip(archive: Path, into: Path) -> None:
    with zipfile.ZipFile(archive) as wheel:
        members = [member for member in wheel.infolist() if not member.is_dir()]
        for member in members:
            inside(member.filename)
        for member in members:
            with wheel.open(member) as content:
                write(content, member.filename, into)


def _untar(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        for member in members:
            inside(member.name)
        for member in members:
            _, _, name = member.name.partition("/")
            content = tar.extractfile(member)
            if name and content is not None:
                write(content, name, into)
