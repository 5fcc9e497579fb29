"""pip's variables and files, as pip reads them."""

import os
import sys
from pathlib import Path

import pytest

from sparsebench.data.errors import DownloadError
from sparsebench.data.fetching import pip_settings as module
from sparsebench.data.fetching.pip_settings import pip_settings


@pytest.fixture
def home(tmp_path: Path, no_settings: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folders, with no file of the machine's."""
    monkeypatch.delenv("PIP_CONFIG_FILE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    for name in (".config/pip", "xdg/pip", "environment"):
        (tmp_path / name).mkdir(parents=True)
    real = module._files
    monkeypatch.setattr(module, "_files", lambda: [file for file in real() if tmp_path in file.parents])
    return tmp_path


def test_nothing_is_set(home: Path):
    assert not any(pip_settings().values())


def test_variables(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://one.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://two.example/simple https://three.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels ./more")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "one.example")
    monkeypatch.setenv("PIP_NO_INDEX", "false")
    monkeypatch.setenv("PIP_CERT", "/ca.pem")
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("PIP_TIMEOUT", "7")
    found = pip_settings()
    assert found["indexes"] == ("https://one.example/simple",)
    assert found["extra_indexes"] == ("https://two.example/simple", "https://three.example/simple")
    assert found["find_links"] == ("/wheels", "./more") and found["trusted_hosts"] == ("one.example",)
    assert (found["no_index"], found["certificates"], found["timeout"]) == (False, "/ca.pem", 7.0)
    assert found["proxy"] == "http://proxy.example:3128"


def test_later_files_and_variables_count_more(home: Path, monkeypatch: pytest.MonkeyPatch):
    def write(file: str, name: str, section: str = "global") -> None:
        (home / file).write_text(f"[{section}]\nindex-url = https://{name}.example/simple\n")

    write("xdg/pip/pip.conf", "machine")
    assert pip_settings()["indexes"] == ("https://machine.example/simple",)
    write(".config/pip/pip.conf", "user", "install")
    assert pip_settings()["indexes"] == ("https://user.example/simple",)
    write("environment/pip.conf", "environment")
    assert pip_settings()["indexes"] == ("https://environment.example/simple",)
    write("mine.conf", "mine")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(home / "mine.conf"))
    assert pip_settings()["indexes"] == ("https://mine.example/simple",)
    monkeypatch.setenv("PIP_INDEX_URL", "https://variable.example/simple")
    assert pip_settings()["indexes"] == ("https://variable.example/simple",)
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert pip_settings()["indexes"] == ()


def test_underscores_and_several_lines(home: Path):
    (home / ".config/pip/pip.conf").write_text(
        "[global]\nextra_index_url =\n  https://one.example\n  https://two.example\nno_index = yes\n"
    )
    assert pip_settings()["extra_indexes"] == ("https://one.example", "https://two.example")
    assert pip_settings()["no_index"] is True


@pytest.mark.parametrize("content", [b"index-url = no section", b"[global]\n\xff"])
def test_a_file_that_cannot_be_read(home: Path, content: bytes):
    (home / ".config/pip/pip.conf").write_bytes(content)
    with pytest.raises(DownloadError, match=r"cannot read pip's settings in .*pip\.conf: "):
        pip_settings()


def test_a_timeout_that_is_no_number(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_TIMEOUT", "soon")
    with pytest.raises(DownloadError, match="pip's setting timeout is 'soon': write a number of seconds"):
        pip_settings()
