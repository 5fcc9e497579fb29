"""uv's variables and files, as uv reads them."""

from pathlib import Path

import pytest

from sparsebench.data.errors import DownloadError
from sparsebench.data.fetching import uv_settings as module
from sparsebench.data.fetching.uv_settings import uv_settings


@pytest.fixture
def home(tmp_path: Path, no_settings: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folders, with no file of the machine's; the current folder is `project/inner`."""
    monkeypatch.delenv("UV_NO_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    for name in (".config/uv", "xdg/uv", "project/inner"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "inner")
    real = module._files
    monkeypatch.setattr(module, "_files", lambda: [file for file in real() if tmp_path in file.parents])
    return tmp_path


def test_nothing_is_set(home: Path):
    assert not any(uv_settings().values())


def test_variables(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://one.example/simple")
    monkeypatch.setenv("UV_INDEX", "mine=https://two.example/simple https://three.example/simple?a=b")
    monkeypatch.setenv("UV_FIND_LINKS", "/wheels,/more")
    monkeypatch.setenv("UV_INSECURE_HOST", "one.example")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    found = uv_settings()
    assert found["indexes"] == ("https://one.example/simple",)
    assert found["extra_indexes"] == ("https://two.example/simple", "https://three.example/simple?a=b")
    assert found["find_links"] == ("/wheels", "/more") and found["trusted_hosts"] == ("one.example",)
    assert found["no_index"] is True


TABLES = """
find-links = ["/wheels"]
[[index]]
name = "default"
url = "https://one.example/simple"
default = true
[[index]]
url = "https://two.example/simple"
[[index]]
url = "https://flat.example"
format = "flat"
[[index]]
url = "https://only-for-those-that-name-it.example"
explicit = true
[pip]
extra-index-url = ["https://three.example/simple"]
"""


def test_files(home: Path):
    (home / ".config/uv/uv.toml").write_text(TABLES)
    found = uv_settings()
    assert found["indexes"] == ("https://one.example/simple",)
    assert found["extra_indexes"] == ("https://two.example/simple", "https://three.example/simple")
    assert found["find_links"] == ("/wheels", "https://flat.example")


def test_the_project_then_the_user_then_the_machine(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "xdg/uv/uv.toml").write_text('index-url = "https://machine.example"')
    (home / ".config/uv/uv.toml").write_text('index-url = "https://user.example"')
    (home / "project/pyproject.toml").write_text('[tool.uv]\nindex-url = "https://project.example"')
    addresses = [f"https://{name}.example" for name in ("project", "user", "machine")]
    assert list(uv_settings()["indexes"]) == addresses
    (home / "mine.toml").write_text('index-url = "https://mine.example"')
    monkeypatch.setenv("UV_CONFIG_FILE", str(home / "mine.toml"))
    assert uv_settings()["indexes"] == ("https://mine.example",)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    assert uv_settings()["indexes"] == ()


@pytest.mark.parametrize("content", [b"index-url = ", b"\xff"])
def test_a_file_that_cannot_be_read(home: Path, content: bytes):
    (home / ".config/uv/uv.toml").write_bytes(content)
    with pytest.raises(DownloadError, match=r"cannot read uv's settings in .*uv\.toml: "):
        uv_settings()
