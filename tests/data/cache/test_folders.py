"""The cache: full disks, interruptions, several processes."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data import fetching, sources
from sparsebench.data.errors import DownloadError

from ..caches import left_in


@pytest.mark.parametrize("failing", ["unpack", "download_archive"])
def test_no_space_left(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch, failing: str):
    demo()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetching, failing, full)
    with pytest.raises(DownloadError, match=r"no space left .*; free some, or set SPARSEBENCH_CACHE"):
        sources.ensure("demo")
    assert left_in(cache) == []


def test_unwritable_cache(demo: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    demo()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"cannot write .* set SPARSEBENCH_CACHE"):
        sources.ensure("demo")


def test_an_interrupted_download_leaves_nothing(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch):
    demo()

    def interrupted(entry: sources.Source, into: Path) -> None:
        (into / "half").write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sources, "fetch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sources.ensure("demo")
    assert left_in(cache) == []
    assert (sources.ensure("demo") / "demo" / "text.txt").exists()


CHILD = """
import sys, time
from pathlib import Path
from sparsebench.data import manifest, sources
manifest.FOLDER = Path(sys.argv[1])
log = Path(sys.argv[2])
def fetch(entry, into):
    with log.open("a") as file:
        file.write("fetch\\n")
    (into / "half").write_text("half")
    time.sleep(float(sys.argv[3]))
    (into / "whole").write_text("whole")
sources.fetch = fetch
print((sources.ensure("demo") / "whole").read_text())
"""


def child(manifests: Path, log: Path, seconds: float) -> subprocess.Popen:
    command = [sys.executable, "-c", CHILD, str(manifests), str(log), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_fetch_once(demo: Callable, cache: Path, manifests: Path, tmp_path: Path):
    demo(contents="")  # the children put something else there
    both = [child(manifests, tmp_path / "log", 0.5) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["whole\n"] * 2
    assert (tmp_path / "log").read_text() == "fetch\n"


def test_a_killed_process_leaves_no_broken_source(demo: Callable, cache: Path, manifests: Path, tmp_path: Path):
    demo(contents="")  # the children put something else there
    killed = child(manifests, tmp_path / "log", 60)
    while not (tmp_path / "log").exists():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    folder = sources.folder_of(sources.source("demo"))
    assert not folder.exists()
    assert child(manifests, tmp_path / "log", 0).communicate(timeout=60)[0] == "whole\n"
    assert left_in(folder) == [".complete.json", "half", "whole"]
    assert not folder.with_name(folder.name + ".partial").exists()


def test_a_folder_without_a_valid_marker_is_fetched_again(demo: Callable, cache: Path):
    demo()
    folder = sources.ensure("demo")
    (folder / ".complete.json").write_text("{")
    (folder / "demo" / "text.txt").unlink()
    assert sources.path("demo", "text").read_text() == "content\n"
