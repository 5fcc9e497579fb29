import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data import manifest

MANIFEST = """
name = "{name}"
kind = "package"
registry = "pypi"
package = "demo"
version = "1.0"
licence = "MIT"
citation = "a package made by the tests"
contents = "{contents}"

[[files]]
name = "demo-1.0-py3-none-any.whl"
sha256 = "{sha256}"
size = {size}

[paths]
text = "demo/text.txt"
folder = "demo"
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(folder))
    monkeypatch.delenv("SPARSEBENCH_OFFLINE", raising=False)
    return folder


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty manifest folder that takes the place of the real one."""
    folder = tmp_path / "manifest"
    folder.mkdir()
    monkeypatch.setattr(manifest, "FOLDER", folder)
    return folder


@pytest.fixture
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable and no file of pip or uv has a say."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_settings: None) -> Path:
    """A real wheel in a folder that the user's client is told to look in, cut off from any index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    file = folder / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("demo/__init__.py", "raise RuntimeError('a data package must not be imported')\n")
        archive.writestr("demo/text.txt", "content\n")
        archive.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        archive.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("demo-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return file


def contents_of(wheel: Path) -> str:
    """The sum over all files that a manifest pins, by its definition: that of what sha256sum prints."""
    lines = []
    with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as archive:
        for name in sorted(archive.namelist()):
            lines.append(f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture
def demo(manifests: Path, wheel: Path) -> Callable[..., None]:
    """Write the manifest of source "demo"; by default it pins the wheel's true sum and size."""

    def write(
        sha256: str | None = None, size: int | None = None, name: str = "demo", contents: str | None = None
    ) -> None:
        content = wheel.read_bytes()
        text = MANIFEST.format(
            name=name,
            sha256=sha256 or hashlib.sha256(content).hexdigest(),
            size=len(content) if size is None else size,
            contents=contents_of(wheel) if contents is None else contents,
        )
        (manifests / f"{name}.toml").write_text(text)
        manifest._load.cache_clear()

    return write


@pytest.fixture(autouse=True)
def _fresh_catalogue():
    yield
    manifest._load.cache_clear()
