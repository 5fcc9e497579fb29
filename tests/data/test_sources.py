import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data import fetch, manifest, sources
from sparsebench.data.errors import ChecksumError, DownloadError, LocalFolderError, OfflineError, UnknownSource


def left_in(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.rglob("*") if not file.name.endswith(".lock") and file.is_file())


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_pip_fetches_verifies_and_unpacks(demo: Callable, cache: Path):
    demo()
    folder = sources.ensure("demo")
    assert folder.is_relative_to(cache)
    assert sources.path("demo", "text").read_text() == "content\n"
    assert left_in(cache) == [".complete.json", *sorted(["METADATA", "RECORD", "WHEEL", "__init__.py", "text.txt"])]
    assert "demo" not in sys.modules


def test_a_present_source_is_returned_at_once(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch):
    demo()
    first = sources.ensure("demo")
    monkeypatch.setattr(sources, "fetch", lambda *_: pytest.fail("fetched twice"))
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    assert sources.ensure("demo") == first


def test_pip_wrong_checksum_gives_both_sums(demo: Callable, cache: Path):
    demo(sha256="0" * 64)
    with pytest.raises(ChecksumError) as caught:
        sources.ensure("demo")
    message = one_line(caught)
    assert "demo-1.0-py3-none-any.whl" in message
    assert "expected sha256 " + "0" * 64 in message
    demo()
    assert f"found {manifest.fingerprint('demo')}" in message
    assert "sparsebench prepare" in message
    assert left_in(cache) == []


def test_wrong_size_is_refused(demo: Callable, cache: Path):
    demo(size=5)
    with pytest.raises(ChecksumError, match=r"\(5 bytes\), found"):
        sources.ensure("demo")
    assert left_in(cache) == []


def test_a_changed_pin_is_another_folder(demo: Callable, cache: Path, wheel: Path):
    demo()
    first = sources.ensure("demo")
    with wheel.open("ab") as file:
        file.write(b"\0")  # a comment-like tail: still a readable zip, another sum
    demo()
    assert sources.folder_of(sources.source("demo")) != first


def test_pip_without_network(demo: Callable, cache: Path, wheel: Path):
    demo()
    wheel.unlink()
    with pytest.raises(DownloadError) as caught:
        sources.ensure("demo")
    message = one_line(caught)
    assert "cannot download demo 1.0" in message and "check the network" in message
    assert left_in(cache) == []


def test_offline_and_absent(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch):
    demo()
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    monkeypatch.setattr(sources, "fetch", lambda *_: pytest.fail("touched the network"))
    with pytest.raises(OfflineError, match=r"'demo'.*sparsebench prepare"):
        sources.ensure("demo")
    assert not cache.exists()


@pytest.mark.parametrize("failing", ["unpack", "pip"])
def test_no_space_left(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch, failing: str):
    demo()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def pip(command: list[str], **_) -> subprocess.CompletedProcess:
        return subprocess.CompletedProcess(
            command, 1, "", "ERROR: Could not install: [Errno 28] No space left on device"
        )

    if failing == "unpack":
        monkeypatch.setattr(fetch, "unpack", full)
    else:
        monkeypatch.setattr(fetch.subprocess, "run", pip)
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
    demo()
    both = [child(manifests, tmp_path / "log", 0.5) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["whole\n"] * 2
    assert (tmp_path / "log").read_text() == "fetch\n"


def test_a_killed_process_leaves_no_broken_source(demo: Callable, cache: Path, manifests: Path, tmp_path: Path):
    demo()
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


def test_prepare_reports_each_source(demo: Callable, cache: Path):
    demo()
    lines: list[str] = []
    prepared = sources.prepare(["demo"], lines.append)
    assert prepared == [("demo", sources.ensure("demo"))]
    assert lines == ["demo: fetching 0.0 MB", f"demo: ready in {prepared[0][1]}"]


def test_prepare_checks_all_names_first(demo: Callable, cache: Path):
    demo()
    with pytest.raises(UnknownSource, match="did you mean demo"):
        sources.prepare(["demo", "dmeo"])
    assert not cache.exists()


def test_unknown_path(demo: Callable, cache: Path):
    demo()
    with pytest.raises(UnknownSource, match="source 'demo' has no path 'txt'; did you mean text"):
        sources.path("demo", "txt")


def test_source_archive_loses_its_top_folder(tmp_path: Path):
    top = tmp_path / "demo-1.0"
    (top / "inner").mkdir(parents=True)
    (top / "inner" / "a.txt").write_text("a")
    archive = shutil.make_archive(str(tmp_path / "demo"), "gztar", tmp_path, "demo-1.0")
    fetch.unpack(Path(archive), tmp_path / "out")
    assert (tmp_path / "out" / "inner" / "a.txt").read_text() == "a"


HUB = """
name = "hub-demo"
kind = "hub"
repository = "owner/model"
revision = "{revision}"
version = "1"
licence = "MIT"
citation = "none"

[[files]]
name = "weights.bin"
sha256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
size = 7
"""


@pytest.mark.parametrize("content", ["content", "other"])
def test_hub(manifests: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, content: str):
    import huggingface_hub

    revision = "0123456789" * 4
    (manifests / "hub-demo.toml").write_text(HUB.format(revision=revision))

    def snapshot(repository: str, **given) -> str:
        assert repository == "owner/model" and given["revision"] == revision and given["repo_type"] == "model"
        assert given["allow_patterns"] == ["weights.bin"]
        (given["local_dir"] / ".cache").mkdir()
        (given["local_dir"] / "weights.bin").write_text(content)
        return str(given["local_dir"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    if content == "content":
        assert left_in(sources.ensure("hub-demo")) == [".complete.json", "weights.bin"]
    else:
        with pytest.raises(ChecksumError, match=r"weights\.bin: wrong checksum"):
            sources.ensure("hub-demo")
        assert left_in(cache) == []


@pytest.mark.parametrize("error", [ConnectionError("no route\nto host"), ValueError("gone")])
def test_hub_without_network(manifests: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    import huggingface_hub

    def snapshot(*_, **__):
        raise error

    (manifests / "hub-demo.toml").write_text(HUB.format(revision="0" * 40))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(DownloadError) as caught:
        sources.ensure("hub-demo")
    assert "cannot download owner/model" in one_line(caught)


DEBIAN = HUB.replace('kind = "hub"', 'kind = "package"\nregistry = "debian"\npackage = "demo-data"').replace(
    'repository = "owner/model"\nrevision = "{revision}"\n', ""
)


def test_debian_without_its_tools(manifests: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    (manifests / "hub-demo.toml").write_text(DEBIAN)
    monkeypatch.setattr(fetch.shutil, "which", lambda tool: None)
    with pytest.raises(DownloadError, match="apt-get is missing; use Debian or Ubuntu"):
        sources.ensure("hub-demo")


@pytest.mark.parametrize("root", [True, False])
def test_debian_updates_its_lists_once_when_it_may(
    manifests: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, root: bool
):
    (manifests / "hub-demo.toml").write_text(DEBIAN)
    calls: list[str] = []

    def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
        calls.append(command[1])
        if command[0] == "dpkg-deb":
            Path(command[3], "weights.bin").write_text("content")
        elif command[1] == "download" and "update" in calls:
            (folder / "demo-data_1_all.deb").write_text("")
        else:
            return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package demo-data")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.shutil, "which", lambda tool: tool)
    monkeypatch.setattr(fetch.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(fetch, "run", run)
    if root:
        assert left_in(sources.ensure("hub-demo")) == [".complete.json", "weights.bin"]
        assert calls == ["download", "update", "download", "-x"]
    else:
        with pytest.raises(DownloadError, match="E: Unable to locate package demo-data"):
            sources.ensure("hub-demo")
        assert calls == ["download"]


def test_local_folder(tmp_path: Path, manifests: Path, monkeypatch: pytest.MonkeyPatch):
    text = HUB.replace('kind = "hub"', 'kind = "local"\nenvironment = "DEMO_FOLDER"\nnote = "expected: weights.bin"')
    text = text.replace('repository = "owner/model"\nrevision = "{revision}"\n', "")
    (manifests / "hub-demo.toml").write_text(text)
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


def test_installed_package_folder_needs_no_import():
    assert sources.path("digits", "table").is_file()
    assert (sources.ensure("dsprites") / "vision" / "dsprites.py").is_file()


def test_sources_import_nothing_heavy():
    code = "import sys; from sparsebench.data.sources import catalogue; catalogue(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "transformers", "rdkit", "filelock", "huggingface_hub"} & set(loaded)
