"""Outcomes on the disk: small, read back as they were, and a broken file is told."""

import gzip
import json
import random

import pytest

from sparsebench.reports.records import example_files
from sparsebench.reports.records.example_files import ExampleReader, pack, unpack
from sparsebench.reports.records.record import RecordError


def test_what_was_packed_comes_back_to_float32() -> None:
    columns = {
        "correct": [1, 0, True],
        "smiles": ["C", "é"],
        "prediction": [[0.1234567890123], [-1e-7]],
        "none": [None],
    }
    found = unpack("a", pack("a", columns))
    assert found["correct"] == [1, 0, 1]
    assert (found["smiles"], found["none"]) == (["C", "é"], [None])
    assert found["prediction"] == [[pytest.approx(0.1234567890123, rel=6e-8)], [-1e-7]]
    assert unpack("a", pack("a", {"x": [1e300]})) == {"x": [1e300]}
    assert pack("a", columns) == pack("a", columns)


def test_they_are_small() -> None:
    """A study of 200 records stays below 2 MB, whatever its tasks are."""
    generator = random.Random(0)
    answers = [int(generator.random() < 0.85) for _ in range(1000)]
    outputs = [generator.gauss(0, 3) for _ in range(1000)]
    assert len(pack("a", {"correct": answers})) < 250
    assert len(pack("a", {"prediction": outputs})) < 5500


@pytest.mark.parametrize("columns", [{"x": [float("nan")]}, {"x": [object()]}, {"x": [float("inf")]}])
def test_what_json_cannot_say_is_refused(columns: dict) -> None:
    with pytest.raises(RecordError, match="examples of a cannot be written"):
        pack("a", columns)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not compressed",
        gzip.compress(b"[1, 2", mtime=0),
        gzip.compress(b"[1, 2]", mtime=0),
        gzip.compress(b'{"x": 3}', mtime=0),
        gzip.compress(json.dumps({"x": [1] * 1000}).encode(), mtime=0)[:30],
        gzip.compress(b'{"x": [1]}', mtime=0)[:12] + b"\xff" * 20,
        gzip.compress(b"\xff\xfe", mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
    ],
)
def test_a_broken_file_is_one_line(content: bytes) -> None:
    with pytest.raises(RecordError, match="examples of a ") as caught:
        unpack("a", content)
    assert "\n" not in str(caught.value)


def test_a_reader_reads_once_and_tells_what_it_could_not_read() -> None:
    asked = []

    def read(id: str):
        asked.append(id)
        if id == "broken":
            raise RecordError("examples of broken cannot be read")
        return {"correct": [1, 0]} if id == "a" else None

    reader = ExampleReader(read)
    assert reader.scores("a", "accuracy", 0.5) is reader.scores("a", "accuracy", 0.5)
    assert reader.scores("a", "accuracy", 0.75) is None
    assert reader.scores("b", "accuracy", 0.5) is None
    assert reader.problems == {}
    assert reader.scores("broken", "accuracy", 0.5) is None
    assert reader.problems == {"broken": "examples of broken cannot be read"}
    assert asked == ["a", "a", "b", "broken"]


def test_a_small_file_that_unpacks_to_any_size_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(example_files, "MOST_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(3 << 20))
    assert len(bomb) < 4000
    with pytest.raises(RecordError, match="examples of 00ff cannot be read: they unpack to more than 1 MiB"):
        unpack("00ff", bomb)
    with pytest.raises(RecordError, match="examples of 00ff cannot be written: 2 MiB, and 1 are allowed"):
        pack("00ff", {"note": ["x" * (2 << 20)]})


def test_a_whole_number_of_hundreds_of_digits_is_refused():
    """Audit D13: no floating-point number holds it, and `report` ended in an OverflowError."""
    content = gzip.compress(f'{{"correct": [1, {"9" * 400}]}}'.encode())
    with pytest.raises(RecordError, match="cannot be read: a whole number of 400 digits, and 100 are allowed"):
        unpack("00ff", content)
