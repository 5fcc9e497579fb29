"""Digests are taken again when a file has changed, and only then."""

import hashlib
import os
from pathlib import Path

import pytest

from sparsebench.data.cache import digests


def test_once_for_as_long_as_a_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    calls: list[Path] = []
    real = digests.sha256_of
    monkeypatch.setattr(digests, "sha256_of", lambda path: calls.append(path) or real(path))
    first = [digests.digest_once(file) for _ in range(3)]
    assert first == [hashlib.sha256(b"one").hexdigest()] * 3
    assert len(calls) == 1
    stat = file.stat()
    file.write_bytes(b"two")  # same size, and the time is put back
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digests.digest_once(file) == hashlib.sha256(b"two").hexdigest()
