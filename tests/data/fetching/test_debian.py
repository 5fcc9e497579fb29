"""Debian packages: only pinned files are written, each verified as it is read."""

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data import sources
from sparsebench.data.errors import ChecksumError, DownloadError
from sparsebench.data.fetching import debian

from ..caches import left_in

MANIFEST = """
name = "demo"
kind = "package"
registry = "debian"
package = "demo-data"
version = "1"
licence = "MIT"
citation = "none"

[[files]]
name = "usr/share/weights.bin"
sha256 = "{sha256}"
size = {size}
"""
CONTENT = b"content"


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    member.size = len(content) if kind == tarfile.REGTYPE else 0
    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def package(tmp_path: Path, manifests: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a real Debian package of the members that a function adds; apt "downloads" it."""
    (manifests / "demo.toml").write_text(MANIFEST.format(sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT)))
    deb = tmp_path / "demo-data_1_all.deb"

    def archive(members: Callable[[tarfile.TarFile], None]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as tar:
            members(tar)
        return stream.getvalue()

    def part(name: str, content: bytes) -> bytes:
        padding = b"\n" * (len(content) % 2)
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + padding

    def make(members: Callable[[tarfile.TarFile], None]) -> Path:
        control = "Package: demo-data\nVersion: 1\nArchitecture: all\nMaintainer: none\nDescription: none\n"
        marker = tmp_path / "ran"
        script = f"#!/bin/sh\ntouch {marker}\n".encode()

        def inner(tar: tarfile.TarFile) -> None:
            add(tar, "./control", control.encode())
            add(tar, "./preinst", script)

        parts = [("debian-binary", b"2.0\n"), ("control.tar.gz", archive(inner)), ("data.tar.gz", archive(members))]
        deb.write_bytes(b"!<arch>\n" + b"".join(part(*one) for one in parts))
        return marker

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        (folder / deb.name).write_bytes(deb.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(debian, "run", run)
    return make


def test_only_pinned_files_are_written_and_no_script_runs(package: Callable[..., Path], cache: Path):
    def members(tar: tarfile.TarFile) -> None:
        add(tar, "./usr/share/weights.bin", CONTENT)
        add(tar, "./usr/share/doc/readme", b"not pinned")
        add(tar, "./../../outside", b"not pinned")
        add(tar, "./etc/link", kind=tarfile.SYMTYPE, link="/etc/passwd")

    marker = package(members)
    folder = sources.ensure("demo")
    assert (folder / "usr/share/weights.bin").read_bytes() == CONTENT
    assert left_in(cache) == [".complete.json", "weights.bin"]
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"changed", b"longer than pinned", b""])
def test_a_changed_file_is_refused_before_it_is_in_place(package: Callable[..., Path], cache: Path, content: bytes):
    package(lambda tar: add(tar, "./usr/share/weights.bin", content))
    with pytest.raises(ChecksumError, match=r"^usr/share/weights\.bin: wrong checksum: .*sparsebench prepare"):
        sources.ensure("demo")
    assert left_in(cache) == []


def test_a_link_of_the_pinned_name_is_refused(package: Callable[..., Path], cache: Path):
    package(lambda tar: add(tar, "./usr/share/weights.bin", kind=tarfile.SYMTYPE, link="/etc/hostname"))
    with pytest.raises(ChecksumError, match=r"weights\.bin: wrong checksum"):
        sources.ensure("demo")
    assert left_in(cache) == []


def test_a_missing_file_is_refused(package: Callable[..., Path], cache: Path):
    package(lambda tar: add(tar, "./usr/share/other.bin", CONTENT))
    with pytest.raises(ChecksumError, match=r"weights\.bin: expected a file with sha256 .* there is none"):
        sources.ensure("demo")


@pytest.mark.parametrize("cut", [10, 70, 300])
def test_a_cut_package_is_refused(package: Callable[..., Path], cache: Path, tmp_path: Path, cut: int):
    package(lambda tar: add(tar, "./usr/share/weights.bin", CONTENT))
    deb = tmp_path / "demo-data_1_all.deb"
    deb.write_bytes(deb.read_bytes()[:cut])
    with pytest.raises((DownloadError, ChecksumError)):
        sources.ensure("demo")
    assert left_in(cache) == []


@pytest.mark.parametrize("offline", ["", "1"])
def test_an_installed_package_is_copied_without_the_network(
    manifests: Path, package: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: str
):
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", offline)
    monkeypatch.setattr(debian, "ROOT", tmp_path)
    monkeypatch.setattr(debian, "run", None)
    file = tmp_path / "usr/share/weights.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"changed")
    with pytest.raises(ChecksumError, match=r"wrong checksum.*apt-get install --reinstall demo-data"):
        sources.ensure("demo")
    file.write_bytes(CONTENT)
    assert left_in(sources.ensure("demo")) == [".complete.json", "weights.bin"]


def test_an_installed_package_with_other_sizes_is_downloaded(
    package: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(debian, "ROOT", tmp_path)
    (tmp_path / "usr/share").mkdir(parents=True)
    (tmp_path / "usr/share/weights.bin").write_bytes(b"of another version")
    package(lambda tar: add(tar, "./usr/share/weights.bin", CONTENT))
    assert (sources.ensure("demo") / "usr/share/weights.bin").read_bytes() == CONTENT


def test_without_its_tools(manifests: Path, cache: Path, package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(debian.shutil, "which", lambda tool: None)
    with pytest.raises(DownloadError, match="apt-get is missing; use Debian or Ubuntu"):
        sources.ensure("demo")


@pytest.mark.parametrize("root", [True, False])
def test_lists_are_updated_once_by_who_may(
    package: Callable[..., Path], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: bool
):
    package(lambda tar: add(tar, "./usr/share/weights.bin", CONTENT))
    calls: list[str] = []

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
        calls.append(command[1])
        if command[1] == "download" and "update" in calls:
            (folder / "demo-data_1_all.deb").write_bytes((tmp_path / "demo-data_1_all.deb").read_bytes())
        elif command[1] == "download":
            return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package demo-data")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(debian.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(debian, "run", run)
    if root:
        assert left_in(sources.ensure("demo")) == [".complete.json", "weights.bin"]
        assert calls == ["download", "update", "download"]
    else:
        with pytest.raises(DownloadError, match="E: Unable to locate package demo-data"):
            sources.ensure("demo")
        assert calls == ["download"]
