"""ONNX files written field by field, as protocol buffers have them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes) -> bytes:
    """A number, or bytes with their length before them."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name: str, array: np.ndarray, **given: int | bytes) -> bytes:
    """A constant; `kind` and `raw` take the place of what the array says."""
    content = b"".join(field(1, size) for size in array.shape)
    content += field(2, given.get("kind", 1)) + field(8, name.encode())
    return field(5, content + field(9, given.get("raw", array.astype("<f4").tobytes())))


def node(name: str, *inputs: str) -> bytes:
    content = b"".join(field(1, text.encode()) for text in inputs)
    return field(1, content + field(2, b"out") + field(3, name.encode()) + field(4, b"MatMul"))


def write(file: Path, parts: Iterable[bytes]) -> Path:
    """A model of opset 14 with one graph."""
    file.write_bytes(field(1, 7) + field(7, b"".join(parts)) + field(8, field(2, 14)))
    return file


def graph_file(file: Path, tensors: Mapping[str, np.ndarray], nodes: Mapping[str, tuple[str, ...]]) -> Path:
    constants = [tensor(name, array) for name, array in tensors.items()]
    return write(file, [*(node(name, *inputs) for name, inputs in nodes.items()), *constants])
