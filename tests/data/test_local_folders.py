"""Folders of the user's and of installed packages."""

from pathlib import Path

import pytest

from sparsebench.data import sources
from sparsebench.data.cache.ledger import FileRead, reading
from sparsebench.data.errors import ChecksumError, LocalFolderError
from sparsebench.data.local_folders import note_unpinned

LOCAL = """
name = "hub-demo"
kind = "local"
environment = "DEMO_FOLDER"
note = "expected: weights.bin"
version = "1"
licence = "MIT"
citation = "none"

[[files]]
name = "weights.bin"
sha256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
size = 7
"""


def test_local_folder(tmp_path: Path, manifests: Path, monkeypatch: pytest.MonkeyPatch):
    (manifests / "hub-demo.toml").write_text(LOCAL)
    monkeypatch.delenv("DEMO_FOLDER", raising=False)
    with pytest.raises(LocalFolderError, match=r"set DEMO_FOLDER to it; expected: weights\.bin"):
        sources.ensure("hub-demo")
    monkeypatch.setenv("DEMO_FOLDER", str(tmp_path / "none"))
    with pytest.raises(LocalFolderError, match="none' is no folder"):
        sources.ensure("hub-demo")
    monkeypatch.setenv("DEMO_FOLDER", str(tmp_path))
    with pytest.raises(LocalFolderError, match=r"has no file weights\.bin"):
        sources.ensure("hub-demo")
    (tmp_path / "weights.bin").write_text("contend")
    with pytest.raises(ChecksumError, match=r"weights\.bin: wrong checksum"):
        sources.ensure("hub-demo")
    (tmp_path / "weights.bin").write_text("content")
    assert sources.ensure("hub-demo") == tmp_path
    monkeypatch.delenv("DEMO_FOLDER")
    assert sources.ensure("hub-demo", tmp_path) == tmp_path


def test_only_what_is_asked_for_counts_as_read(tmp_path: Path, manifests: Path, monkeypatch: pytest.MonkeyPatch):
    (manifests / "hub-demo.toml").write_text(LOCAL + '\n[paths]\nweights = "weights.bin"\nother = "other.bin"\n')
    (tmp_path / "weights.bin").write_text("content")
    with reading() as reads:
        sources.path("hub-demo", "other", tmp_path)
    assert reads.files() == ()
    with reading() as reads:
        sources.path("hub-demo", "weights", tmp_path)
    assert [read.name for read in reads.files()] == ["weights.bin"]


def test_a_pinned_file_that_changes_between_two_uses(tmp_path: Path, manifests: Path):
    (manifests / "hub-demo.toml").write_text(LOCAL)
    (tmp_path / "weights.bin").write_text("content")
    sources.ensure("hub-demo", tmp_path)
    (tmp_path / "weights.bin").write_text("contend")
    with pytest.raises(ChecksumError, match=r"weights\.bin: wrong checksum"):
        sources.ensure("hub-demo", tmp_path)


def test_files_that_nobody_pinned_are_noted_with_the_sum_that_they_have(tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0.jpg").write_bytes(b"content")
    with reading() as reads:
        note_unpinned("vtab-1k", tmp_path, tmp_path / "images" / "0.jpg")
    digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert reads.files() == (FileRead("vtab-1k", "images/0.jpg", 7, digest),)


def test_installed_package_folder_needs_no_import():
    assert sources.path("digits", "table").is_file()
    assert (sources.ensure("dsprites") / "vision" / "dsprites.py").is_file()
