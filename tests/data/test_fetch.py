"""The clients of the registries."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data import fetch, manifest, sources
from sparsebench.data.errors import ChecksumError, DownloadError

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

DEBIAN = HUB.replace('kind = "hub"', 'kind = "package"\nregistry = "debian"\npackage = "demo-data"').replace(
    'repository = "owner/model"\nrevision = "{revision}"\n', ""
)


def left_in(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.rglob("*") if not file.name.endswith(".lock") and file.is_file())


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


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


def test_pip_without_network(demo: Callable, cache: Path, wheel: Path):
    demo()
    wheel.unlink()
    with pytest.raises(DownloadError) as caught:
        sources.ensure("demo")
    message = one_line(caught)
    assert "cannot download demo 1.0" in message and "check the network" in message
    assert left_in(cache) == []


def test_source_archive_loses_its_top_folder(tmp_path: Path):
    top = tmp_path / "demo-1.0"
    (top / "inner").mkdir(parents=True)
    (top / "inner" / "a.txt").write_text("a")
    archive = shutil.make_archive(str(tmp_path / "demo"), "gztar", tmp_path, "demo-1.0")
    fetch.unpack(Path(archive), tmp_path / "out")
    assert (tmp_path / "out" / "inner" / "a.txt").read_text() == "a"


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
