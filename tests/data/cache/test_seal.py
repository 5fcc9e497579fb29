"""Seals of folders: what is written, and what a check says of each kind of damage."""

import os
import shutil
from pathlib import Path

import pytest

from sparsebench.data.cache.seal import check, read_seal, reseal_if_only_times_differ, seal
from sparsebench.data.errors import ChecksumError

IDENTITY = {"form": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "inner" / "b.txt").write_text("bb")
    seal(folder, IDENTITY)
    return folder


def refused(folder: Path, name: str = "") -> str:
    with pytest.raises(ChecksumError) as caught:
        check(folder, name, "demo", "mend it")
    message = str(caught.value)
    assert message.startswith("demo: ") and message.endswith("; mend it") and "\n" not in message
    return message


def test_a_whole_folder_and_its_parts(folder: Path):
    sealed = read_seal(folder)
    assert sealed is not None and sealed.identity == IDENTITY and sorted(sealed.files) == ["a.txt", "inner/b.txt"]
    assert check(folder, "", "demo", "") == folder / ""
    assert check(folder, "inner", "demo", "") == folder / "inner"
    assert check(folder, "inner/b.txt", "demo", "") == folder / "inner" / "b.txt"


def test_a_link_to_a_folder_counts_as_a_stranger(folder: Path, tmp_path: Path):
    (folder / "inner" / "more").symlink_to(tmp_path)
    assert "inner/more was not there" in refused(folder)
    assert "inner/more was not there" in refused(folder, "inner")


def test_a_name_that_is_not_there(folder: Path):
    assert "nothing.txt is not among the files" in refused(folder, "nothing.txt")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"identity": {}}', '{"identity": {}, "files": {"a": 1}}'])
def test_a_seal_that_cannot_be_read_is_none(folder: Path, text: str):
    (folder / ".complete.json").write_text(text)
    assert read_seal(folder) is None
    assert "is not among the files" in refused(folder, "a.txt")


def test_a_copied_folder_is_sealed_again_if_its_content_is_whole(folder: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, copy_function=shutil.copy)  # times are not kept
    for file in (copy / "a.txt", copy / "inner" / "b.txt"):
        os.utime(file, (1, 1))
    assert "written again" in refused(copy)
    assert reseal_if_only_times_differ(copy)
    check(copy, "", "demo", "")
    (copy / "a.txt").write_text("b")
    assert not reseal_if_only_times_differ(copy)
