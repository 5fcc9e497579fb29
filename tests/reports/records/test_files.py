"""Files: whole or not there, and nothing is opened that is none."""

import errno
import os
from pathlib import Path

import pytest

from sparsebench.reports.records.files import read_file, write_whole
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
