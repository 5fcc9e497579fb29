"""Parts of the user's own text: by hash, disjoint, named by their digests, with errors that say what to do."""

import hashlib
import json
from pathlib import Path

import pytest

from sparsebench.data.cache.ledger import reading
from sparsebench.data.errors import LocalFolderError, TextFileError, UnknownSource
from sparsebench.data.text import own_text
from sparsebench.data.text.own_text import own_documents, own_files, part_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two domains: 60 lines of JSON, one of them blank and one twice, and a file of 200 kB."""
    root = tmp_path / "texts"
    (root / "news").mkdir(parents=True)
    (root / "tales").mkdir()
    texts = [f"Report {number}." for number in range(58)] + ["Report 3.", "  "]
    (root / "news" / "all.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (root / "tales" / "long.txt").write_text("".join(f"Line {number} of a tale.\n" for number in range(60_000)))
    monkeypatch.setenv("SPARSEBENCH_OWN_TEXT", str(root))
    return root


def test_parts_share_nothing_and_are_the_whole(folder: Path) -> None:
    assert list(own_files()) == ["news", "tales"]
    parts = {part: own_documents("news", part) for part in ("train", "val", "test")}
    for part, texts in parts.items():
        assert texts and all(part_of(text) == part for text in texts)
    together = [text for texts in parts.values() for text in texts]
    assert sorted(together) == sorted([f"Report {number}." for number in range(58)] + ["Report 3."])
    assert len(parts["train"]) > 6 * max(len(parts["val"]), len(parts["test"])) / 2
    tales = [text for part in ("train", "val", "test") for text in own_documents("tales", part)]
    assert len(tales) > 10 and sum(map(len, tales)) == (folder / "tales" / "long.txt").stat().st_size


def test_what_is_scored_first_is_of_all_files(folder: Path) -> None:
    """Tasks read a few windows: of files by year, all of them would be of the first year."""
    years = folder / "years"
    years.mkdir()
    for year in range(2000, 2004):
        lines = (json.dumps({"text": f"In {year}: {number}."}) + "\n" for number in range(200))
        (years / f"{year}.jsonl").write_text("".join(lines))
    for part in ("val", "test"):
        first = {text[3:7] for text in own_documents("years", part)[:20]}
        assert first == {"2000", "2001", "2002", "2003"}, part
    train = [text[3:7] for text in own_documents("years", "train")]
    assert train == sorted(train)


def test_the_part_is_that_of_the_first_byte_of_the_hash() -> None:
    for text in map(str, range(300)):
        first = hashlib.sha256(text.encode()).digest()[0] % 10
        assert part_of(text) == {0: "val", 1: "test"}.get(first, "train")


def test_what_is_read_is_named_from_memory_too(folder: Path) -> None:
    for _ in range(2):
        with reading() as reads:
            own_documents("news", "val")
        (read,) = reads.files()
        content = (folder / "news" / "all.jsonl").read_bytes()
        assert (read.place, read.name, read.size) == ("own-text", "news/all.jsonl", len(content))
        assert read.sha256 == hashlib.sha256(content).hexdigest()


def test_a_changed_file_is_read_again(folder: Path) -> None:
    before = own_documents("news", "train")
    with (folder / "news" / "all.jsonl").open("a") as file:
        file.writelines(json.dumps({"text": f"More {number}."}) + "\n" for number in range(20))
    assert len(own_documents("news", "train")) > len(before)


def test_reading_stops_where_there_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_text, "MOST_CHARACTERS", 100)
    own_text._read.cache_clear()  # type: ignore[attr-defined]
    found = own_documents("news", "train")
    assert 100 <= sum(map(len, found)) < 100 + len(found[-1])


def test_mistakes_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownSource, match="no domain 'new' in your text; did you mean news"):
        own_documents("new", "train")
    with pytest.raises(UnknownSource, match="unknown part 'vla'; did you mean val"):
        own_documents("news", "vla")  # type: ignore[arg-type]
    (folder / "empty").mkdir()
    with pytest.raises(TextFileError, match=r"domain 'empty' has no file in .*; add text files, or remove the folder"):
        own_documents("news", "train")
    (folder / "empty" / "blank.txt").write_text(" \n\n")
    with pytest.raises(TextFileError, match=r"domain 'empty' has no text in its part 'train': .* \.jsonl file"):
        own_documents("empty", "train")
    (folder / "empty" / "one.txt").write_text("Only one record.")
    with pytest.raises(TextFileError, match="domain 'empty' has no text in its part"):
        for part in ("train", "val", "test"):
            own_documents("empty", part)  # type: ignore[arg-type]
    monkeypatch.setenv("SPARSEBENCH_OWN_TEXT", str(folder / "nowhere"))
    with pytest.raises(LocalFolderError, match="nowhere' is no folder; expected: in it a folder of text files"):
        own_files()
    monkeypatch.delenv("SPARSEBENCH_OWN_TEXT")
    with pytest.raises(LocalFolderError, match="set SPARSEBENCH_OWN_TEXT to it"):
        own_documents("news", "train")
