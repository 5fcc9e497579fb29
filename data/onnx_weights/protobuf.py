"""The wire format of protocol buffers, read within bounds.

Layout: https://protobuf.dev/programming-guides/encoding/. A message is a row of fields; each begins with a number that
holds the field's own number and how its value is written.
"""

from collections.abc import Iterator

from ..errors import WeightsError

Value = int | memoryview
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_MOST_BYTES = 10
"""Bytes of a number of up to 64 bits, seven in each byte."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field, in order: a text, list or inner message as its bytes, all else as a number.

    Raises `WeightsError` for a message that is cut or damaged.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
        elif kind == _LENGTH:
            size, place = _varint(message, place)
            value = _taken(message, place, size)
            place += size
        elif kind in _FIXED:
            value = int.from_bytes(_taken(message, place, _FIXED[kind]), "little")
            place += _FIXED[kind]
        else:
            raise WeightsError(f"cut or damaged: a field of the unknown kind {kind} before byte {place}")
        yield key >> 3, value


def numbers(value: Value) -> Iterator[int]:
    """The numbers of a repeated field: one, or all of them packed together."""
    if isinstance(value, int):
        yield value
        return
    place = 0
    while place < len(value):
        number, place = _varint(value, place)
        yield number


def text(value: Value) -> str:
    """A text. Raises `WeightsError` where it is none."""
    if isinstance(value, int):
        raise WeightsError(f"cut or damaged: the number {value} stands in place of a text")
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError as error:
        raise WeightsError("cut or damaged: a text is not UTF-8") from error


def inner(value: Value) -> memoryview:
    """The bytes of an inner message. Raises `WeightsError` where it is a number."""
    if isinstance(value, int):
        raise WeightsError(f"cut or damaged: the number {value} stands in place of a message")
    return value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number that begins at `place`, lowest seven bits first, and the place behind it."""
    number = 0
    for index, byte in enumerate(message[place : place + _MOST_BYTES]):
        number |= (byte & 127) << (7 * index)
        if byte < 128:
            return number, place + index + 1
    raise WeightsError(f"cut or damaged: no number ends after byte {place}")


def _taken(message: memoryview, place: int, size: int) -> memoryview:
    if size > len(message) - place:
        raise WeightsError(f"cut or damaged: {size} bytes are announced at byte {place}")
    return message[place : place + size]
