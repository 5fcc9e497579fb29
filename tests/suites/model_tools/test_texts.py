"""No held-out document is among those of calibration, nor has one text in common with them."""

import json
from pathlib import Path

import pytest

from sparsebench.data.errors import TextFileError
from sparsebench.data.text.documents import documents
from sparsebench.models.errors import ModelError
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.model_tools.texts import PIECE, own_documents, read_held_out, read_texts


def test_own_text_is_split_and_cut(text: Path) -> None:
    texts = read_texts(text, documents=4)
    held = {one.text for one in texts.held_out}
    (own,) = texts.calibration.values()
    assert len(held) == 4 and not held & set(own)
    assert held | set(own) == set(own_documents(text))
    assert len({one.whole for one in texts.held_out}) == 4
    rows = texts.windows(byte_tokenizer(), 50, 1000, seed=1)
    assert rows.shape == (len("\n\n".join(own).encode()) // 50, 50)
    assert not rows.equal(texts.windows(byte_tokenizer(), 50, 1000, seed=2))
    with pytest.raises(ModelError, match="fewer than 100000 tokens"):
        texts.windows(byte_tokenizer(), 100000, 4)


def test_text_that_is_in_both_files_is_no_calibration(text: Path, tmp_path: Path) -> None:
    first, second, *others = own_documents(text)
    held = tmp_path / "held.jsonl"
    held.write_text("".join(json.dumps({"text": f"Title. {one.upper()}!"}) + "\n" for one in (first, second)))
    texts = read_texts(text, held)
    assert [one.text for one in texts.held_out] == own_documents(held)
    assert read_held_out(held) == (texts.held_out, str(held))
    assert texts.calibration["own text"] == others
    with pytest.raises(ModelError, match="give other text to measure on"):
        read_texts(text, text, documents=30)


def test_a_text_file_is_cut_at_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    paragraphs = [f"{number} " + "word " * 700 for number in range(12)]
    file.write_text("\n\n".join(paragraphs))
    assert {one.partition(" ")[0] for one in own_documents(file)} == set(map(str, range(12)))


def test_line_ends_of_windows_and_long_lines(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    paragraphs = [f"{number} " + "word " * 700 for number in range(12)]
    file.write_bytes("\r\n\r\n".join(paragraphs).encode())
    assert sorted(own_documents(file)) == sorted(one.strip() for one in paragraphs)
    numbers = list(map(str, range(9000)))
    for between in (" ", "\n"):
        file.write_text(between.join(numbers))
        found = own_documents(file)
        assert max(map(len, found)) <= PIECE and len(found) > 10
        assert sorted(word for one in found for word in one.split(between)) == sorted(numbers)
    file.write_text("a" * PIECE + "b" * 10)
    assert sorted(own_documents(file)) == ["a" * PIECE, "b" * 10]


def test_one_document_is_no_held_out_text(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("Few words.")
    with pytest.raises(TextFileError, match="has one document, and an interval needs 2"):
        read_held_out(file)


def test_mistakes(text: Path, tmp_path: Path) -> None:
    bad = {
        "empty.txt": "",
        "blank.jsonl": '{"text": "  "}\n',
        "key.jsonl": '{"txt": "a"}\n',
        "few.txt": "a b",
        "own.csv": "a",
    }
    for name, content in bad.items():
        (tmp_path / name).write_text(content)
    expected = {
        "empty.txt": "has no text in it",
        "blank.jsonl": "has no text in it",
        "key.jsonl": "no field 'text'; did you mean txt",
        "few.txt": "has 1 documents",
        "own.csv": "none of the endings",
        "fwe.txt": "did you mean .*few.txt",
    }
    for name, message in expected.items():
        with pytest.raises(TextFileError, match=message):
            read_texts(tmp_path / name)
    for read in (read_texts, read_held_out):
        with pytest.raises(ModelError, match="documents=1"):
            read(text, documents=1)


@pytest.mark.data
def test_packaged_halves_share_no_document() -> None:
    texts = read_texts(documents=9)
    assert len(texts.held_out) == 9 and len({one.domain for one in texts.held_out}) == 7
    for one in texts.held_out:
        assert any(one.text in whole for whole in documents(one.domain, "test"))
        assert one.text not in texts.calibration[one.domain]
