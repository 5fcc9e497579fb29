"""The head of a GGUF file: its metadata and where its tensors lie, read within bounds.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Offsets must follow each other as llama.cpp asks: no
two tensors share bytes, and none lies outside the file.
"""

import math
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import WeightsError

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_MOST_AXES = 4
_MOST_ENTRIES = 1 << 20
"""Entries of a list at most: more than any vocabulary; a damaged length must not become a loop."""
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class TensorInfo:
    """Shape (rows first), encoding, and the bytes of the file that hold it."""

    shape: tuple[int, ...]
    kind: "GGMLQuantizationType"
    start: int
    size: int


@dataclass(frozen=True)
class Head:
    """Metadata by key and tensors by name."""

    file: Path
    values: dict[str, Any]
    tensors: dict[str, TensorInfo]

    def error(self, problem: str) -> WeightsError:
        """One line that names the file."""
        return WeightsError(f"{self.file.name}: {problem}")


def read_head(file: Path) -> Head:
    """What a GGUF file says of itself: metadata, and where its tensors lie.

    Args:
        file: a GGUF file.

    Raises:
        WeightsError: a file that is cut, no GGUF, of another version, or that says something twice.
    """
    try:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _read(file, _Cursor(content, file.name))
    except (OSError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{file.name} cannot be read as GGUF: {error}") from error


class _Cursor:
    """Reads forward, and never behind the end."""

    def __init__(self, content: mmap.mmap, name: str) -> None:
        self.content = content
        self.name = name
        self.place = 0

    def take(self, size: int) -> bytes:
        if size > len(self.content) - self.place:
            raise WeightsError(f"{self.name}: cut or damaged: {size} bytes are announced at byte {self.place}")
        found = self.content[self.place : self.place + size]
        self.place += size
        return found

    def numbers(self, code: str, count: int = 1) -> tuple[Any, ...]:
        size = struct.calcsize(f"<{code}")
        return struct.unpack(f"<{count}{code}", self.take(size * count))

    def number(self, code: str) -> Any:
        return self.numbers(code)[0]

    def text(self) -> str:
        try:
            return self.take(self.number("Q")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise WeightsError(f"{self.name}: a text before byte {self.place} is not UTF-8") from error


def _read(file: Path, cursor: _Cursor) -> Head:
    if cursor.take(4) != _MAGIC:
        raise WeightsError(f"{file.name} is no GGUF file")
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise WeightsError(f"{file.name}: GGUF version {version} is not known; known: 2, 3")
    tensor_count, value_count = cursor.numbers("Q", 2)
    values: dict[str, Any] = {}
    for _ in range(value_count):
        key = cursor.text()
        if key in values:
            raise WeightsError(f"{file.name}: the key {key!r} comes twice")
        values[key] = _value(cursor, key)
    described = _described(cursor, tensor_count)
    return Head(file, values, _placed(cursor, described, _alignment(file, values)))


def _value(cursor: _Cursor, key: str) -> Any:
    kind = cursor.number("I")
    if kind == _STRING:
        return cursor.text()
    if kind in _SCALARS:
        return cursor.number(_SCALARS[kind])
    if kind != _ARRAY:
        raise WeightsError(f"{cursor.name}: {key!r} has the unknown type {kind}")
    inner, count = cursor.number("I"), cursor.number("Q")
    if count > min(_MOST_ENTRIES, len(cursor.content) - cursor.place):
        raise WeightsError(f"{cursor.name}: cut or damaged: {key!r} is a list of {count} values")
    if inner in _SCALARS:
        return list(cursor.numbers(_SCALARS[inner], count))
    if inner == _STRING:
        return [cursor.text() for _ in range(count)]
    raise WeightsError(f"{cursor.name}: {key!r} is a list of the unknown type {inner}")


def _alignment(file: Path, values: dict[str, Any]) -> int:
    found = values.get("general.alignment", _ALIGNMENT)
    if type(found) is not int or found < 8 or found & (found - 1):
        raise WeightsError(f"{file.name}: general.alignment is {found!r}: not a power of two from 8")
    return found


def _described(cursor: _Cursor, count: int) -> Iterator[tuple[str, tuple[int, ...], int, int]]:
    """Name, shape (rows first), encoding and offset of each tensor."""
    for _ in range(count):
        name = cursor.text()
        axes = cursor.number("I")
        if not 1 <= axes <= _MOST_AXES:
            raise WeightsError(f"{cursor.name}: tensor {name!r} has {axes} axes")
        shape = cursor.numbers("Q", axes)
        yield name, shape[::-1], cursor.number("I"), cursor.number("Q")


def _placed(
    cursor: _Cursor, described: Iterator[tuple[str, tuple[int, ...], int, int]], alignment: int
) -> dict[str, TensorInfo]:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    entries = list(described)
    start = _aligned(cursor.place, alignment)
    expected = 0
    found: dict[str, TensorInfo] = {}
    for name, shape, code, offset in entries:
        try:
            kind = GGMLQuantizationType(code)
        except ValueError:
            raise WeightsError(f"{cursor.name}: tensor {name!r} has the unknown encoding {code}") from None
        block, block_bytes = GGML_QUANT_SIZES[kind]
        if name in found:
            raise WeightsError(f"{cursor.name}: tensor {name!r} comes twice")
        if 0 in shape or shape[-1] % block:
            raise WeightsError(f"{cursor.name}: tensor {name!r} of shape {shape} is not in whole blocks of {block}")
        if offset != expected:
            raise WeightsError(f"{cursor.name}: tensor {name!r} begins at {offset}, not after the one before it")
        size = math.prod(shape) // block * block_bytes
        if start + offset + size > len(cursor.content):
            raise WeightsError(f"{cursor.name}: cut or damaged: tensor {name!r} ends behind the end of the file")
        found[name] = TensorInfo(shape, kind, start + offset, size)
        expected = _aligned(offset + size, alignment)
    return found


def _aligned(place: int, alignment: int) -> int:
    return -(-place // alignment) * alignment
