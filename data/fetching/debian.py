"""Debian packages: the pinned files are read out of the package's payload and verified while they are written.

Where the package is installed with files of the pinned sizes, they are copied from there, without the network. Only
pinned files are written; nothing is installed, no maintainer script runs, and the sums are of the files, so that a
rebuilt package still matches.
"""

import errno
import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from ..cache.folders import verify
from ..errors import ChecksumError, DownloadError
from ..manifest import FileEntry, Source
from .errors import AGAIN, failed
from .unpacking import inside

ROOT = Path("/")
"""Below which packages are installed."""
ADVICE = "check the network and apt's sources, then run `sparsebench prepare` again"


def is_installed(source: Source) -> bool:
    """Whether all pinned files of a Debian package lie where it installs them, with the pinned sizes."""
    if source.registry != "debian":
        return False
    places = [(ROOT / inside(entry.name), entry.size) for entry in source.files]
    return all(place.is_file() and place.stat().st_size == size for place, size in places)


def unpack_debian(source: Source, into: Path) -> None:
    """Put the pinned files of a Debian package, installed or downloaded, into ``into``.

    Raises `ChecksumError` and `DownloadError`.
    """
    if is_installed(source):
        _copy(source, into)
        return
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DownloadError(f"source {source.name!r} is a Debian package: {tool} is missing; use Debian or Ubuntu")
    download = into / ".download"
    download.mkdir()
    archive = _download(source, download)
    _extract(source, archive, into)
    shutil.rmtree(download)


def _copy(source: Source, into: Path) -> None:
    """The installed files, verified as they lie in ``into``."""
    for entry in source.files:
        target = into / inside(entry.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / inside(entry.name), target)
        verify(into, entry, f"run `apt-get install --reinstall {source.package}`")


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a client in ``folder``, its temporary files too. Raises `OSError` (ENOSPC) when it says the disk is full."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and "No space left on device" in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return done


def _download(source: Source, folder: Path) -> Path:
    command = ["apt-get", "download", "-q", source.package]
    done = run(command, folder)
    if done.returncode and os.geteuid() == 0:  # a fresh container has no package lists yet
        run(["apt-get", "update", "-q"], folder)
        done = run(command, folder)
    archives = list(folder.glob("*.deb"))
    if done.returncode or not archives:
        raise failed(source, _reasons(done.stderr), ADVICE)
    return archives[0]


def _extract(source: Source, archive: Path, into: Path) -> None:
    """Read the payload as a stream and keep the pinned files."""
    wanted = {entry.name: entry for entry in source.files}
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    entry = wanted.pop(member.name.removeprefix("./"), None)
                    if entry is not None:
                        _write(tar, member, entry, into)
        except tarfile.TarError as error:
            raise failed(source, [f"{archive.name} cannot be read ({error})"], ADVICE) from error
        finally:
            process.kill()  # it has ended, or nobody reads on
    for name, entry in wanted.items():
        raise ChecksumError(f"{name}: expected a file with sha256 {entry.sha256}, but there is none; {AGAIN}")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, entry: FileEntry, into: Path) -> None:
    """One pinned file, hashed as it is written; a folder or a link of its name is another file."""
    if member.size > entry.size:
        raise ChecksumError(
            f"{entry.name}: wrong checksum: it has {member.size} bytes, and {entry.size} are pinned; {AGAIN}"
        )
    content = tar.extractfile(member) if member.isfile() else None
    target = into / inside(entry.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("xb") as file:
        while content is not None and (part := content.read(1 << 20)):
            found.update(part)
            file.write(part)
    if member.size != entry.size or found.hexdigest() != entry.sha256:
        raise ChecksumError(
            f"{entry.name}: wrong checksum: expected sha256 {entry.sha256} ({entry.size} bytes), "
            f"found {found.hexdigest()} ({member.size} bytes); {AGAIN}"
        )


def _reasons(output: str) -> list[str]:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return [line for line in lines if line.lower().startswith(("error", "e:"))] or lines
