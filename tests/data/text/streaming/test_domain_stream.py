"""Windows against the whole text at once, resume after every window, counts, and the end of the text."""

import json
from pathlib import Path

import pytest

from sparsebench.data.errors import DryStreamError, TextFileError
from sparsebench.data.text.streaming import files
from sparsebench.data.text.streaming.domain_stream import Counts, DomainStream
from sparsebench.data.text.streaming.files import domain_files

from .conftest import ByteTokens

WHOLE = "".join(f"a{number}|" for number in range(10))
"""What the fixture's first domain says, with a separator after each document."""


@pytest.fixture
def of_files(texts: Path):
    def make(length: int = 4, domain: str = "first", tokenizer: object = None, **settings) -> DomainStream:
        tokenizer = tokenizer or ByteTokens()
        return DomainStream(domain, domain_files(texts)[domain], tokenizer, length, separator="|", **settings)

    return make


@pytest.mark.parametrize("length", [1, 4, 7, 30])
def test_windows_are_the_whole_text_cut(of_files, length: int) -> None:
    count = len(WHOLE) // length
    found = of_files(length).take(count)
    assert [bytes(window).decode() for window in found] == [
        WHOLE[start : start + length] for start in range(0, length * count, length)
    ]


@pytest.mark.parametrize("length", [1, 4, 7])
@pytest.mark.parametrize("piece", [6, 1 << 16])
def test_resume_gives_the_very_next_window(of_files, length: int, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE", piece)
    for domain in ("first", "second"):
        at_once = of_files(length, domain, repeat=True)
        for _ in range(32):
            state = json.loads(json.dumps(at_once.state_dict()))
            resumed = of_files(length, domain, repeat=True)
            resumed.load_state_dict(state)
            window = at_once.take()
            assert resumed.take() == window
            assert resumed.state_dict() == at_once.state_dict()
            # and what comes after it
            assert resumed.take(2) == from_state(of_files(length, domain, repeat=True), at_once.state_dict())


def from_state(stream: DomainStream, state: dict) -> list[list[int]]:
    stream.load_state_dict(state)
    return stream.take(2)


def test_counts_are_of_what_was_given(of_files, texts: Path) -> None:
    stream = of_files(3)
    assert stream.counts == Counts()
    stream.take(2)
    assert stream.counts == Counts(documents=2, blank=0, tokens=6, bytes=4)
    stream.take(8)
    assert stream.counts == Counts(documents=11, blank=1, tokens=30, bytes=20 + len("  \n"))
    assert of_files(3).read_all() == stream.counts
    second = (texts / "second" / "only.txt").read_bytes()
    assert of_files(3, "second").read_all() == Counts(documents=1, tokens=len(second) + 1, bytes=len(second))


def test_reading_on_counts_everything_once(of_files) -> None:
    stream = of_files(4)
    stream.take(3)
    assert stream.read_all() == of_files(4).read_all()


def test_a_stream_that_runs_dry_says_how_far_it_got(of_files) -> None:
    stream = of_files(8)
    with pytest.raises(DryStreamError, match=r"domain 'first' ran dry: 30 tokens read, 40 wanted; .*repeat=True"):
        stream.take(5)


def test_repeat_starts_over_without_losing_the_tail(of_files) -> None:
    stream = of_files(8, repeat=True)
    assert b"".join(map(bytes, stream.take(12))).decode() == (WHOLE * 4)[:96]
    assert stream.state_dict()["place"]["epoch"] == 3
    assert stream.counts.documents == 3 * 11 + 2


@pytest.mark.parametrize("repeat", [False, True])
def test_a_domain_of_blank_documents(tmp_path: Path, tokenizer, repeat: bool) -> None:
    (tmp_path / "blank").mkdir()
    (tmp_path / "blank" / "a.txt").write_text(" \n\n")
    (tmp_path / "blank" / "b.txt").touch()
    stream = DomainStream("blank", domain_files(tmp_path)["blank"], tokenizer, 4, repeat=repeat)
    with pytest.raises(TextFileError, match="domain 'blank' has no text in its 2 files"):
        stream.take()


def test_a_state_of_something_else_is_refused(of_files, texts: Path) -> None:
    class OtherTokens(ByteTokens):
        def __call__(self, text: str, **settings) -> dict[str, list[int]]:
            return {"input_ids": [byte + 1 for byte in text.encode()]}

    state = of_files(4).state_dict()
    with pytest.raises(ValueError, match="domain 'first': length was 4 when the state was saved, and is 5 now"):
        of_files(5).load_state_dict(state)
    with pytest.raises(ValueError, match="tokenizer was"):
        of_files(4, tokenizer=OtherTokens()).load_state_dict(state)
    with pytest.raises(ValueError, match=r"field was 'text' .* 'body' now"):
        of_files(4, field="body").load_state_dict(state)
    (texts / "first" / "1.txt").write_text("longer")
    with pytest.raises(ValueError, match="files was"):
        of_files(4).load_state_dict(state)


def test_length_is_checked(of_files) -> None:
    with pytest.raises(ValueError, match="length must be at least 1 token, not 0"):
        of_files(0)


def test_no_more_is_read_than_is_needed(tmp_path: Path, tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE", 100)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.txt").write_text("a line of text\n" * 1000)
    (tmp_path / "d" / "2.txt").write_bytes(b"\xff")  # would be an error as soon as it is read
    stream = DomainStream("d", domain_files(tmp_path)["d"], tokenizer, 50)
    longest = 0
    for _ in range(290):
        stream.take()
        longest = max(longest, stream._held)
    assert longest < 250
    with pytest.raises(TextFileError, match=r"2\.txt, byte 0"):
        stream.take(20)
