"""Messages byte by byte."""

import struct

import pytest

from sparsebench.data.errors import WeightsError
from sparsebench.data.onnx_weights.protobuf import fields, inner, numbers, text

from .onnx_file import field, varint


def read(message: bytes) -> list[tuple[int, object]]:
    return [
        (number, value if isinstance(value, int) else bytes(value)) for number, value in fields(memoryview(message))
    ]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 1 << 35, (1 << 64) - 1])
def test_numbers_of_any_length(number: int) -> None:
    assert read(field(3, number)) == [(3, number)]


def test_the_example_of_the_documentation() -> None:
    """Field 1 with 150, and field 2 with the text "testing"."""
    assert read(bytes.fromhex("089601")) == [(1, 150)]
    (number, value), *rest = fields(memoryview(bytes.fromhex("120774657374696e67")))
    assert number == 2 and text(value) == "testing" and rest == []


def test_all_kinds_side_by_side() -> None:
    fixed = varint(4 << 3 | 5) + struct.pack("<I", 7) + varint(5 << 3 | 1) + struct.pack("<Q", 8)
    message = field(1, 2) + field(16, b"\xff\0") + fixed + field(1, 3)
    assert read(message) == [(1, 2), (16, b"\xff\0"), (4, 7), (5, 8), (1, 3)]


def test_repeated_numbers_one_by_one_or_packed() -> None:
    assert list(numbers(300)) == [300]
    assert list(numbers(memoryview(varint(3) + varint(300) + varint(0)))) == [3, 300, 0]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"\x80", "no number ends after byte 0"),
        (b"\x08" + b"\xff" * 11, "no number ends after byte 1"),
        (b"\x08", "no number ends after byte 1"),
        (b"\x12\x05abc", "5 bytes are announced at byte 2"),
        (b"\x0d\x00\x00", "4 bytes are announced at byte 1"),
        (b"\x0b", "unknown kind 3 before byte 1"),
    ],
)
def test_cut_and_damaged(message: bytes, problem: str) -> None:
    with pytest.raises(WeightsError, match=problem):
        list(fields(memoryview(message)))


def test_values_of_another_kind() -> None:
    with pytest.raises(WeightsError, match="the number 5 stands in place of a text"):
        text(5)
    with pytest.raises(WeightsError, match="the number 5 stands in place of a message"):
        inner(5)
    with pytest.raises(WeightsError, match="not UTF-8"):
        text(memoryview(b"\xff"))
