"""Archives from a real index, served on this machine, and from folders: as plain files, without pip."""

import hashlib
import http.server
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparsebench.data import manifest, sources
from sparsebench.data.errors import ChecksumError, DownloadError
from sparsebench.data.fetching import package_index

from ..caches import left_in, one_line


class Index:
    """A simple index (PEP 503) of the files of a folder; `failures` answers 503 that often before it serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.failures = 0
        self.digests = True
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                if index.failures:
                    index.failures -= 1
                    self.close_connection = True
                    self.connection.close()
                    return
                kind, content = index.answer(self.path)
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"

    def answer(self, path: str) -> tuple[str, bytes]:
        if path == "/simple/demo/":
            return "text/html", "".join(map(self.link, sorted(self.folder.iterdir()))).encode()
        file = self.folder / path.rpartition("/")[2]
        return ("application/octet-stream", file.read_bytes()) if file.is_file() else ("", b"")

    def link(self, file: Path) -> str:
        digest = f"#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}" if self.digests else ""
        return f'<a href="/files/{file.name}{digest}" data-requires-python="&gt;=99">{file.name}</a><br>'


@pytest.fixture
def index(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The user's index; the folder that `wheel` stands in is no find-links folder any more."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    served = Index(wheel.parent)
    threading.Thread(target=served.server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    monkeypatch.setattr(package_index, "PAUSES", (0.01, 0.01))
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_the_index_of_the_users_client(
    demo: Callable, cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch, variable: str
):
    demo()
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv(variable, index.url)
    assert sources.path("demo", "text").read_text() == "content\n"
    assert index.asked == ["/simple/demo/", "/files/demo-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("variable", ["PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"])
def test_extra_indexes_where_the_first_cannot_be_reached(
    demo: Callable, cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch, variable: str
):
    demo()
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv(variable, index.url)
    assert sources.path("demo", "text").read_text() == "content\n"


def test_a_folder_of_archives_is_asked_before_an_index(
    demo: Callable, cache: Path, index: Index, wheel: Path, monkeypatch: pytest.MonkeyPatch
):
    demo()
    monkeypatch.setenv("PIP_FIND_LINKS", wheel.parent.as_uri())
    assert sources.path("demo", "text").read_text() == "content\n"
    assert index.asked == [] and wheel.exists()


def test_a_folder_that_has_another_file_of_that_name(
    demo: Callable, cache: Path, index: Index, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    demo()
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / wheel.name).write_bytes(b"another")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'nowhere'} {tmp_path / 'others'}")
    assert sources.path("demo", "text").read_text() == "content\n"


@pytest.mark.parametrize("digests", [True, False])
def test_another_archive_is_refused_with_both_sums(demo: Callable, cache: Path, index: Index, digests: bool):
    index.digests = digests
    demo(sha256="0" * 64)
    with pytest.raises(ChecksumError) as caught:
        sources.ensure("demo")
    demo()
    message = one_line(caught)
    assert message.startswith(f"demo-1.0-py3-none-any.whl: wrong checksum: expected sha256 {'0' * 64}, found ")
    assert manifest.fingerprint("demo") in message and "sparsebench prepare" in message
    assert left_in(cache) == []
    assert (len(index.asked) == 1) is digests  # what the index itself says is another file is not downloaded


def test_an_archive_larger_than_pinned_is_not_downloaded_to_its_end(demo: Callable, cache: Path, index: Index):
    demo(size=5)
    with pytest.raises(ChecksumError, match=r"more than the 5 bytes that are pinned come"):
        sources.ensure("demo")
    assert left_in(cache) == []


def test_a_connection_that_breaks_twice(demo: Callable, cache: Path, index: Index):
    demo()
    index.failures = 2
    assert sources.path("demo", "text").read_text() == "content\n"
    index.failures = 3
    demo(name="demo")
    shutil.rmtree(cache)
    with pytest.raises(
        DownloadError, match=r"cannot download demo 1\.0 for source 'demo': http://127\.0\.0\.1:\d+/simple"
    ):
        sources.ensure("demo")


def test_what_no_place_has_says_where_to_look(demo: Callable, cache: Path, index: Index, wheel: Path):
    demo()
    wheel.unlink()
    with pytest.raises(DownloadError) as caught:
        sources.ensure("demo")
    message = one_line(caught)
    assert "no place has the file demo-1.0-py3-none-any.whl" in message
    assert "PIP_INDEX_URL, pip.conf" in message and "UV_DEFAULT_INDEX, uv.toml" in message


def test_passwords_are_not_told(demo: Callable, cache: Path, no_settings: None, monkeypatch: pytest.MonkeyPatch):
    demo()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setattr(package_index, "PAUSES", ())
    with pytest.raises(DownloadError) as caught:
        sources.ensure("demo")
    assert "secret" not in str(caught.value) and "127.0.0.1:9" in str(caught.value)


def test_no_index_means_none(demo: Callable, cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch):
    demo()
    wheel.unlink()
    monkeypatch.setattr(package_index, "_retried", pytest.fail)
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(DownloadError, match="no place has the file"):
        sources.ensure("demo")


def test_certificates_that_are_not_there(demo: Callable, cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch):
    demo()
    monkeypatch.setenv("PIP_CERT", "/nowhere/ca.pem")
    with pytest.raises(DownloadError, match=r"your settings name \(/nowhere/ca\.pem\) cannot be read"):
        sources.ensure("demo")


SOURCE_MANIFEST = """
name = "demo"
kind = "package"
registry = "pypi"
package = "demo"
version = "1.0"
licence = "MIT"
citation = "none"

[[files]]
name = "demo-1.0.tar.gz"
sha256 = "{sha256}"
size = {size}

[paths]
text = "texts/play.txt"
"""

WITHOUT_PIP = """
import sys
sys.modules["pip"] = None
sys.modules["setuptools"] = None
import subprocess
def refuse(*arguments, **options):
    raise AssertionError(f"a program was started: {arguments}")
subprocess.Popen = refuse
from pathlib import Path
from sparsebench.data import manifest, sources
manifest.FOLDER = Path(sys.argv[1])
print(sources.path("demo", "text").read_text())
"""


def test_a_source_archive_is_a_plain_file_and_no_pip_is_needed(
    index: Index, manifests: Path, cache: Path, tmp_path: Path
):
    """Audit R13: pip ran setuptools and the archive's setup.py to read its metadata; a uv environment has no pip."""
    marker = tmp_path / "executed"
    archive = index.folder / "demo-1.0.tar.gz"
    files = {
        "demo-1.0/setup.py": f"open({str(marker)!r}, 'w').close()\n",
        "demo-1.0/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "demo-1.0/backend.py": f"open({str(marker)!r}, 'w').close()\n",
        "demo-1.0/texts/play.txt": "to be",
    }
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    content = archive.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (manifests / "demo.toml").write_text(SOURCE_MANIFEST.format(sha256=digest, size=len(content)))
    environment = {**os.environ, "PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PIP, str(manifests)], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "to be\n", done.stderr
    assert not marker.exists()
