"""What a file says of itself, read without importing it."""

from pathlib import Path

import pytest

from sparsebench.suites.runner.discovery.entry import Entry
from sparsebench.suites.runner.errors import UsageError


def entry(folder: Path, text: str, kind: str = "backbone") -> Entry:
    path = folder / "mine.py"
    path.write_text(text)
    return Entry(kind, "mine", "package.mine", path, "vtab")  # type: ignore[arg-type]


def test_constants_and_caption(tmp_path: Path) -> None:
    text = '"""A caption.\n\nMore."""\nSOURCES = ["a", "b"]\nTRAITS = {"blocks"}\n\nclass A:\n    version: str = "2"\n'
    mine = entry(tmp_path, text)
    mine.check()
    assert (mine.caption, mine.sources, mine.traits) == ("A caption", ("a", "b"), frozenset({"blocks"}))
    assert mine.constant("version", "1") == "2"
    assert mine.constant("missing", 3) == 3
    assert mine.backbone("mine:x").traits == {"blocks"}
    assert entry(tmp_path, "").traits is None


def test_an_expression_counts_as_not_given(tmp_path: Path) -> None:
    assert entry(tmp_path, "SOURCES = tuple(x)\n").sources == ()
    assert entry(tmp_path, "SOURCES = {[]: 1}\n").sources == ()


@pytest.mark.parametrize("value", ["3", "'text'", "(1, 2)", "{'a': 1}"])
def test_what_is_no_list_of_texts_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.py: SOURCES must be a list of texts, not"):
        entry(tmp_path, f"SOURCES = {value}\n").check()


def test_a_file_of_ours_that_breaks_breaks_loudly(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "broken_of_ours.py").write_text("raise RuntimeError('a bug')\n")
    monkeypatch.syspath_prepend(tmp_path)
    mine = Entry("method", "broken", "broken_of_ours", tmp_path / "broken_of_ours.py")
    with pytest.raises(RuntimeError, match="a bug"):
        mine.load()
