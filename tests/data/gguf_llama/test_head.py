"""Heads of GGUF files, byte by byte."""

import struct
from pathlib import Path

import pytest

from sparsebench.data.errors import WeightsError
from sparsebench.data.gguf_llama import read_head


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def value(key: bytes, kind: int, content: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + content


def tensor(name: bytes, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def write(folder: Path, values: list[bytes] = (), tensors: list[bytes] = (), data: int = 64, **given: int) -> Path:
    counts = (given.get("tensor_count", len(tensors)), given.get("value_count", len(values)))
    head = b"GGUF" + struct.pack("<IQQ", given.get("version", 3), *counts) + b"".join([*values, *tensors])
    file = folder / "made.gguf"
    file.write_bytes(head + bytes(-len(head) % 32) + bytes(data))
    return file


def test_values_of_all_kinds_and_places(tmp_path: Path):
    values = [
        value(b"number", 4, struct.pack("<I", 7)),
        value(b"text", 8, text("é".encode())),
        value(b"flag", 7, b"\1"),
        value(b"list", 9, struct.pack("<IQ3i", 5, 3, -1, 0, 1)),
        value(b"texts", 9, struct.pack("<IQ", 8, 2) + text(b"a") + text(b"b")),
        value(b"general.alignment", 4, struct.pack("<I", 32)),
    ]
    head = read_head(write(tmp_path, values, [tensor(b"a", 2, 3), tensor(b"b", 4, offset=32)]))
    assert head.values == {
        "number": 7,
        "text": "é",
        "flag": True,
        "list": [-1, 0, 1],
        "texts": ["a", "b"],
        "general.alignment": 32,
    }
    assert head.tensors["a"].shape == (3, 2) and head.tensors["a"].size == 24
    assert head.tensors["b"].start == head.tensors["a"].start + 32


def one(name: bytes = b"a", **given: int) -> bytes:
    return tensor(name, 8, **given)


BAD = {
    "is no GGUF file": lambda folder: (folder / "made.gguf").write_bytes(b"PK" + bytes(40)),
    "cut or damaged: 4 bytes": lambda folder: (folder / "made.gguf").write_bytes(b"GGU"),
    "cannot be read as GGUF": lambda folder: (folder / "made.gguf").write_bytes(b""),
    "GGUF version 50331648 is not known": lambda folder: write(folder, version=0x03000000),
    "the key 'a' comes twice": lambda folder: write(folder, [value(b"a", 7, b"\1")] * 2),
    "'a' has the unknown type 99": lambda folder: write(folder, [value(b"a", 99, b"")]),
    "'a' is a list of the unknown type 9": lambda folder: write(folder, [value(b"a", 9, struct.pack("<IQ", 9, 1))]),
    "'a' is a list of 1152921504606846976 values": lambda folder: write(
        folder, [value(b"a", 9, struct.pack("<IQ", 4, 1 << 60))]
    ),
    "a text before byte .* is not UTF-8": lambda folder: write(folder, [value(b"\xff", 7, b"\1")]),
    "cut or damaged: 18446744073709551615 bytes": lambda folder: write(folder, [struct.pack("<Q", 2**64 - 1)]),
    "general.alignment is 33": lambda folder: write(folder, [value(b"general.alignment", 4, struct.pack("<I", 33))]),
    "general.alignment is 0": lambda folder: write(folder, [value(b"general.alignment", 4, struct.pack("<I", 0))]),
    "tensor 'a' comes twice": lambda folder: write(folder, tensors=[one(), one(offset=32)]),
    "tensor 'a' has 0 axes": lambda folder: write(folder, tensors=[tensor(b"a")]),
    "tensor 'a' has 4294967295 axes": lambda folder: write(folder, tensors=[text(b"a") + struct.pack("<I", 2**32 - 1)]),
    "tensor 'a' has the unknown encoding 77": lambda folder: write(folder, tensors=[one(kind=77)]),
    "not in whole blocks of 32": lambda folder: write(folder, tensors=[one(kind=8)]),
    r"of shape \(0,\) is not in whole blocks": lambda folder: write(folder, tensors=[tensor(b"a", 0)]),
    "tensor 'b' begins at 0, not after": lambda folder: write(folder, tensors=[one(), one(b"b")]),
    "tensor 'b' begins at 64, not after": lambda folder: write(folder, tensors=[one(), one(b"b", offset=64)]),
    "tensor 'a' ends behind the end": lambda folder: write(folder, tensors=[tensor(b"a", 1 << 40, 1 << 23)]),
    "cut or damaged: 4 bytes are announced at byte 32": lambda folder: write(folder, data=0, tensor_count=2**64 - 1),
}


@pytest.mark.parametrize("message", BAD)
def test_heads_that_are_refused(tmp_path: Path, message: str):
    BAD[message](tmp_path)
    with pytest.raises(WeightsError, match=rf"^made\.gguf.*{message}") as caught:
        read_head(tmp_path / "made.gguf")
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"nothing\.gguf cannot be read as GGUF: .*No such file"):
        read_head(tmp_path / "nothing.gguf")
