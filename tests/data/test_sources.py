import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data import sources
from sparsebench.data.cache import digests, seal
from sparsebench.data.cache.ledger import FileRead, reading
from sparsebench.data.errors import ChecksumError, OfflineError, UnknownSource

from .caches import left_in, one_line


def test_fetches_verifies_and_unpacks(demo: Callable, cache: Path):
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


@pytest.mark.parametrize("size", [5, 5_000_000])
def test_wrong_size_is_refused(demo: Callable, cache: Path, size: int):
    demo(size=size)
    with pytest.raises(ChecksumError, match=rf"\({size} bytes\), found"):
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


def test_what_is_missing_is_fetched_and_said(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch):
    demo()
    lines: list[str] = []
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    sources.fetch_missing(["demo"], lines.append)
    assert len(lines) == 2 and lines[1].startswith("demo: source 'demo' is not whole")
    monkeypatch.delenv("SPARSEBENCH_OFFLINE")
    sources.fetch_missing(["demo"], lines.append)
    sources.fetch_missing(["demo"], lines.append)
    assert lines[2:] == ["demo: fetching 0.0 MB"]
    assert sources.is_complete(sources.folder_of(sources.source("demo")), sources._identity(sources.source("demo")))


def test_unknown_path(demo: Callable, cache: Path):
    demo()
    with pytest.raises(UnknownSource, match="source 'demo' has no path 'txt'; did you mean text"):
        sources.path("demo", "txt")


def test_sources_import_nothing_heavy():
    code = "import sys; from sparsebench.data.sources import catalogue; catalogue(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "numpy", "transformers", "rdkit", "filelock", "huggingface_hub", "unearth", "ssl"}
    assert not heavy & set(loaded)


def break_it(folder: Path, how: str) -> None:
    """Do to the file of the demo source what disks, users and other programs do."""
    file = folder / "demo" / "text.txt"
    stat = file.stat()
    if how == "cut":
        file.write_text("cont")
    elif how == "changed":
        file.write_text("CONTENT\n")
    elif how == "changed, time kept":
        file.write_text("CONTENT\n")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif how == "touched":
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    else:
        file.unlink()


BROKEN = {
    "cut": r"demo: demo/text\.txt has 4 bytes, not 8; mend it with `sparsebench prepare --source demo`",
    "changed": r"demo: demo/text\.txt was written again since it was put there; mend it with `sparsebench prepare",
    "changed, time kept": r"demo: demo/text\.txt has another content: expected sha256 \w+, found \w+; mend it with",
    "touched": r"demo: demo/text\.txt was written again",
    "gone": r"demo: demo/text\.txt is gone from .*; mend it with `sparsebench prepare --source demo`",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_of_the_cache_is_an_error_that_names_it_and_prepare_mends_it(
    demo: Callable, cache: Path, wheel: Path, how: str
):
    """Audit R1: half a file was read without a word."""
    demo()
    folder = sources.ensure("demo")
    assert sources.path("demo", "text").read_text() == "content\n"
    break_it(folder, how)
    for use in (lambda: sources.path("demo", "text"), lambda: sources.ensure("demo")):
        with pytest.raises(ChecksumError, match=BROKEN[how]) as caught:
            use()
        one_line(caught)
    said: list[str] = []
    if how == "touched":
        wheel.unlink()  # nothing is fetched when only times differ
    sources.prepare(["demo"], said.append)
    assert sources.path("demo", "text").read_text() == "content\n"
    assert said[0] == ("demo: only times differed, the content is whole" if how == "touched" else said[0])
    assert how == "touched" or said[0].endswith(": fetching again")


def forge(folder: Path, file: str) -> None:
    """What somebody can do who may write there: another file, and a seal that fits it."""
    (folder / file).write_text("CONTENT\n")
    known = seal.read_seal(folder)
    assert known is not None
    seal.seal(folder, known.identity)


def test_a_file_that_was_exchanged_together_with_its_seal_is_refused_and_mended(demo: Callable, cache: Path):
    """Audit D10: the seal was compared with nothing that does not lie in the same folder."""
    demo()
    forge(sources.ensure("demo"), "demo/text.txt")
    uses = (
        lambda: sources.path("demo", "text"),
        lambda: sources.ensure("demo"),
        lambda: sources.paths("demo", "folder", "*.txt"),
    )
    for use in uses:
        with pytest.raises(
            ChecksumError, match=r"the seal of .* is another's: .* the sum \w+, not \w+; mend it with"
        ) as caught:
            use()
        one_line(caught)
    said: list[str] = []
    sources.prepare(["demo"], said.append)
    assert said[0].endswith(": fetching again")
    assert sources.path("demo", "text").read_text() == "content\n"


def test_where_single_files_are_pinned_the_seal_must_have_just_these():
    entry = sources.source("fashion-mnist")
    pinned = {file.name: file.sha256 for file in entry.files}
    assert entry.problem_with("", pinned) is None
    first = entry.files[0].name
    assert entry.problem_with("", {**pinned, first: "0" * 64}) == f"{first} is not the pinned file"
    assert entry.problem_with("", {**pinned, "zz": "0" * 64}) == "zz is not the pinned file"
    assert entry.problem_with("", {}) is not None


def test_a_broken_file_does_not_stop_those_who_do_not_read_it(demo: Callable, cache: Path):
    demo()
    folder = sources.ensure("demo")
    (folder / "demo" / "__init__.py").write_text("other")
    assert sources.path("demo", "text").read_text() == "content\n"


def test_a_file_that_nobody_fetched_is_refused_where_it_could_be_read(demo: Callable, cache: Path):
    demo()
    folder = sources.ensure("demo")
    (folder / "demo" / "more.txt").write_text("more")
    assert sources.paths("demo", "folder", "*.txt") == [folder / "demo" / "text.txt"]
    with pytest.raises(ChecksumError, match=r"demo/more\.txt was not there when the folder was made"):
        sources.path("demo", "folder")
    with pytest.raises(ChecksumError, match=r"demo/more\.txt is not among the files"):
        sources.path("demo", "folder", below="more.txt")
    sources.prepare(["demo"])
    assert not (folder / "demo" / "more.txt").exists()


def test_patterns_match_within_one_folder(demo: Callable, cache: Path):
    demo()
    folder = sources.ensure("demo")
    assert sources.paths("demo", "folder", "te*.txt") == [folder / "demo" / "text.txt"]
    with pytest.raises(ChecksumError, match=r"no file matches \*/text\.txt in demo"):
        sources.paths("demo", "folder", "*/text.txt")


def test_the_digest_is_taken_once_a_process(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch):
    demo()
    sources.ensure("demo")
    hashed: list[Path] = []
    real = digests.sha256_of
    monkeypatch.setattr(digests, "sha256_of", lambda file: hashed.append(file) or real(file))
    for _ in range(3):
        sources.path("demo", "text")
    assert len(hashed) <= 1


def test_what_is_read_is_noted_with_its_digest(demo: Callable, cache: Path):
    demo()
    sources.ensure("demo")
    with reading() as reads:
        sources.path("demo", "text")
    digest = hashlib.sha256(b"content\n").hexdigest()
    assert reads.files() == (FileRead("demo", "demo/text.txt", 8, digest),)


def test_a_cache_of_an_older_version_is_fetched_again(demo: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """Its marker held no files, so nothing in it can be believed."""
    demo()
    folder = sources.ensure("demo")
    identity = {"source": "demo", "sha256": sources.fingerprint("demo")}
    (folder / ".complete.json").write_text(json.dumps(identity))
    (folder / "demo" / "text.txt").write_text("half")
    with monkeypatch.context() as patch:
        patch.setenv("SPARSEBENCH_OFFLINE", "1")
        with pytest.raises(OfflineError, match=r"'demo' is not whole in"):
            sources.path("demo", "text")
    assert sources.path("demo", "text").read_text() == "content\n"
