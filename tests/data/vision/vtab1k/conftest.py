"""One built folder for all tests, of which each gets a copy of its own."""

import shutil
from pathlib import Path

import pytest

from .kitti import write_kitti


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return write_kitti(tmp_path_factory.mktemp("vtab"))


@pytest.fixture
def root(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy without sums, whose files may be changed; the cache is the test's own."""
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(built, tmp_path / "vtab")
    (tmp_path / "vtab" / "kitti" / "SHA256SUMS").unlink()
    return tmp_path / "vtab"
