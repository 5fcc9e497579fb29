import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data import sources
from sparsebench.data.errors import ChecksumError, LocalFolderError, OfflineError, UnknownSource


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


def test_offline_and_absent(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch):
    demo()
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    monkeypatch.setattr(sources, "fetch", lambda *_: pytest.fail("touched the network"))
    with pytest.raises(OfflineError, match=r"'demo'.*sparsebench prepare"):
        sources.ensure("demo")
    assert not cache.exists()


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


def test_installed_package_folder_needs_no_import():
    assert sources.path("digits", "table").is_file()
    assert (sources.ensure("dsprites") / "vision" / "dsprites.py").is_file()


def test_sources_import_nothing_heavy():
    code = "import sys; from sparsebench.data.sources import catalogue; catalogue(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "transformers", "rdkit", "filelock", "huggingface_hub"} & set(loaded)
