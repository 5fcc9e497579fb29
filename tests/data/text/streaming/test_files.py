"""Records of the four formats, from any place on, and what is refused."""

import gzip
import re
from pathlib import Path

import pytest

from sparsebench.data.errors import TextFileError
from sparsebench.data.text.streaming import files
from sparsebench.data.text.streaming.files import Record, domain_files, records

from .conftest import lines_of, write_parquet


def test_domains_and_their_files_in_order(texts: Path) -> None:
    found = domain_files(texts)
    assert list(found) == ["first", "second"]
    names = [file.relative_to(texts / "first").as_posix() for file in found["first"]]
    assert names == ["1.txt", "2.jsonl", "3.jsonl.gz", "4.parquet", "deeper/1.txt"]


def test_every_record_can_be_the_first(texts: Path) -> None:
    for file in domain_files(texts)["first"]:
        all_of_it = list(records(file, "text"))
        assert [record.text for record in all_of_it]
        for number, record in enumerate(all_of_it):
            assert list(records(file, "text", record.start)) == all_of_it[number:]
            assert list(records(file, "text", record.end)) == all_of_it[number + 1 :]


def test_a_long_file_comes_in_pieces_that_end_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE", 16)
    file = tmp_path / "a.txt"
    file.write_text("one line\nanother line\nend", encoding="utf-8")
    assert list(records(file, "text")) == [
        Record("one line\nanother line\n", 0, 22, opens=True, closes=False),
        Record("end", 22, 25, opens=False, closes=True),
    ]


def test_a_line_without_end_is_cut_between_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE", 10)
    file = tmp_path / "a.txt"
    text = "日本語" * 50
    file.write_text(text, encoding="utf-8")
    found = list(records(file, "text"))
    assert max(len(record.text.encode()) for record in found) <= 20
    assert "".join(record.text for record in found) == text
    assert [record.closes for record in found] == [False] * (len(found) - 1) + [True]
    assert [record.start for record in found[1:]] == [record.end for record in found[:-1]]


def test_an_empty_file_is_one_blank_document(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.touch()
    (record,) = records(file, "text")
    assert record.text == ""
    assert not list(records(file, "text", record.end))


def test_the_mark_of_utf_8_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffone\ntwo\n".encode())
    (found,) = records(file, "text")
    assert (found.text, found.end) == ("one\ntwo\n", file.stat().st_size)


def test_rows_of_later_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS", 3)
    written = [f"row {number}" for number in range(25)]
    write_parquet(tmp_path / "a.parquet", written, rows_in_group=10)
    for start in range(26):
        assert [record.text for record in records(tmp_path / "a.parquet", "text", start)] == written[start:]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"caf\xe9 au lait", "a.txt, byte 3: this is not UTF-8"),
        ("a.txt", "語".encode()[:2], "a.txt, byte 0: the file ends inside a character"),
        ("a.jsonl", b'{"text": "a"}\n{"text": ', "a.jsonl, byte 14: the line is no JSON"),
        ("a.jsonl", b'{"text": "\xe9"}', "a.jsonl, byte 0: the line is no JSON"),
        ("a.jsonl", b'["text"]', "the line is a JSON list, not an object"),
        ("a.jsonl", b'{"txt": "a"}', "no field 'text'; did you mean txt?"),
        ("a.jsonl", b'{"text": 3}', "field 'text' holds int, not text"),
        ("a.jsonl", b'{"text": null}', "field 'text' holds NoneType, not text"),
        ("a.jsonl", rb'{"text": "a \ud800 b"}', "field 'text' has half of a surrogate pair"),
        ("a.jsonl", b'{"text": ' + b"[" * 200_000, "a.jsonl, byte 0: the line is no JSON"),
        ("a.jsonl.gz", b"no archive", "a.jsonl.gz cannot be read: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(lines_of(["a"] * 99).encode())[:-9], "a.jsonl.gz cannot be read"),
        ("a.parquet", b"no table at all", "a.parquet is no parquet file that can be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(TextFileError, match=re.escape(message)) as caught:
        list(records(file, "text"))
    assert "\n" not in str(caught.value)


def test_a_field_of_a_table(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", ["a", None])
    with pytest.raises(TextFileError, match=r"a\.parquet: no field 'txt'; did you mean text\?"):
        list(records(tmp_path / "a.parquet", "txt"))
    with pytest.raises(TextFileError, match=r"a\.parquet, row 1: field 'text' holds NoneType"):
        list(records(tmp_path / "a.parquet", "text"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextFileError, match=r"gone\.txt cannot be read: .*No such file"):
        list(records(tmp_path / "gone.txt", "text"))


def test_folders_that_are_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(TextFileError, match="'nowhere' is no folder"):
        domain_files("nowhere")
    with pytest.raises(TextFileError, match="has no domain; make a folder"):
        domain_files(tmp_path)
    (tmp_path / "law").mkdir()
    with pytest.raises(TextFileError, match="domain 'law' has no file"):
        domain_files(tmp_path)
    (tmp_path / "law" / "a.pdf").touch()
    with pytest.raises(TextFileError, match=r"a\.pdf has none of the endings .txt, .jsonl, .jsonl.gz, .parquet"):
        domain_files(tmp_path)
    (tmp_path / "law" / "a.pdf").rename(tmp_path / "law" / "a.txt")
    (tmp_path / "b.txt").touch()
    with pytest.raises(TextFileError, match=r"b\.txt lies in no domain; move it into a folder"):
        domain_files(tmp_path)
