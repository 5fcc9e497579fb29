"""Files: whole or not there, and nothing is opened that is none."""

import errno
import os
from pathlib import Path

import pytest

from sparsebench.reports.records.files import check_folder, read_file, write_all, write_whole
from sparsebench.reports.records.record import RecordError


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """Opening a pipe would wait for a writer for ever."""
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("pipe", "a pipe"), (".", "a folder")):
        with pytest.raises(RecordError, match=kind):
            read_file(tmp_path / name)


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert read_file(path) == b"old"
    assert list(tmp_path.iterdir()) == [path], "the temporary file is gone"


@pytest.mark.parametrize(("number", "passes"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_file_systems_that_cannot_sync_a_folder_still_take_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    original = os.fsync

    def fsync(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(number, os.strerror(number))
        original(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    if passes:
        write_whole(tmp_path / "a", b"new")
        assert read_file(tmp_path / "a") == b"new"
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            write_whole(tmp_path / "a", b"new")


def test_all_files_of_a_folder_or_none(tmp_path: Path) -> None:
    write_all(tmp_path / "new" / "page", {"a": "1", "b": "2"})
    write_all(tmp_path / "new" / "page", {"a": "3"})
    assert {file.name: file.read_text() for file in (tmp_path / "new" / "page").iterdir()} == {"a": "3", "b": "2"}
    before = sorted(tmp_path.rglob("*"))
    for folder in (tmp_path / "new" / "page", tmp_path / "other" / "page"):
        with pytest.raises(OSError, match="No such file"):
            write_all(folder, {"a": "4", "no/folder": "5"})
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "new" / "page" / "a").read_text() == "3"


def test_no_folder_can_be_below_a_file(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    (tmp_path / "a").touch()
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(NotADirectoryError):
            check_folder(folder)
