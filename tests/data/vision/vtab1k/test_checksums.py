"""SHA256SUMS: written as `sha256sum` writes it, verified, refused where it is broken."""

from pathlib import Path

import pytest

from sparsebench.data.errors import ChecksumError
from sparsebench.data.vision.vtab1k.checksums import check_sums, read_sums, write_sums


def test_written_and_read(tmp_path: Path):
    file = tmp_path / "a b.txt"
    file.write_text("one")
    write_sums(tmp_path, [file])
    sums = read_sums(tmp_path)
    assert list(sums) == [file]
    check_sums(sums, [file])
    file.write_text("other")
    with pytest.raises(ChecksumError, match=r"a b.txt: expected sha256 7692c3ad"):
        check_sums(sums, [file])
    with pytest.raises(ChecksumError, match=r"c\.txt is not in SHA256SUMS"):
        check_sums(sums, [tmp_path / "c.txt"])


def test_without_sums_nothing_is_checked(tmp_path: Path):
    assert read_sums(tmp_path) == {}
    check_sums({}, [tmp_path / "c.txt"])


def test_a_broken_file(tmp_path: Path):
    (tmp_path / "SHA256SUMS").write_text("abc a.txt\n")
    with pytest.raises(ChecksumError, match=r"line 1: .abc a\.txt. is not 'sha256  path'"):
        read_sums(tmp_path)
