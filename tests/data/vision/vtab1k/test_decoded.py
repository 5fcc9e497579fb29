"""Decoded images: what reading gives, to the bit; made again when anything about them changes."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparsebench.data.cache import digests
from sparsebench.data.cache.folders import cache_root
from sparsebench.data.cache.ledger import reading
from sparsebench.data.errors import ChecksumError, LocalFolderError
from sparsebench.data.vision.vtab1k import checks, decoded
from sparsebench.data.vision.vtab1k.checks import check_images
from sparsebench.data.vision.vtab1k.checksums import write_sums
from sparsebench.data.vision.vtab1k.decoded import Form, decode, decoders, find_decoded, is_decoded
from sparsebench.data.vision.vtab1k.images import ImageList
from sparsebench.data.vision.vtab1k.resizing import resized

FORM = Form(size=7, interpolation="bicubic")
COUNT = 40


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageList:
    """Images of several sizes; more than a worker is given at a time."""
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    files = []
    for number in range(COUNT):
        pixels = generator.integers(0, 256, (5 + number % 3, 9, 3), dtype=np.uint8)
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    listing = tmp_path / "test.txt"
    return ImageList(source="vtab-1k", root=tmp_path, listing=listing, files=tuple(files), labels=(0,) * COUNT)


def test_they_are_what_reading_gives(part: ImageList, monkeypatch: pytest.MonkeyPatch):
    assert find_decoded(part, FORM, range(COUNT)) is None
    with decoders(1) as run:
        assert decode(part, FORM, run).images == COUNT
    with reading() as of_files:
        expected = [resized(part[row][0][None], 7, "bicubic")[0] for row in range(3, COUNT)]
    monkeypatch.setattr(digests, "sha256_of", lambda file: pytest.fail(f"{file} is read"))
    monkeypatch.setattr(checks, "read_rgb", lambda file: pytest.fail(f"{file} is read"))
    with reading() as of_cache:
        found = find_decoded(part, FORM, range(3, COUNT))
    assert found is not None and torch.stack(list(found)).equal(torch.stack(expected))
    assert found[2:4][1].equal(expected[3]) and len(found[2:4]) == 2
    assert of_cache.files() == of_files.files(), "a record names the same files with the same digests"
    check_images([part])
    assert decode(part, FORM).images == 0


def test_worker_processes_decode_the_same_and_say_what_they_cannot(part: ImageList):
    few = replace(part, files=part.files[:4], labels=part.labels[:4])
    with decoders(2) as run:
        assert decode(few, FORM, run).images == 4
        found = find_decoded(few, FORM, range(4))
        assert found is not None
        for row in range(4):
            assert found[row].equal(resized(few[row][0][None], 7, "bicubic")[0])
        few.files[2].write_bytes(b"no image")
        with pytest.raises(LocalFolderError, match=r"2\.png is no readable image"):
            decode(few, FORM, run)


def _touch(part: ImageList) -> None:
    os.utime(part.files[5], ns=(1, 1))


def _cut(part: ImageList) -> None:
    (pixels,) = cache_root().rglob("pixels.bin")
    pixels.write_bytes(pixels.read_bytes()[:-1])


def _change_code(part: ImageList, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mend of what reads pixels."""
    pixels = next(file for file in decoded.CODE if file.name == "pixels.py")
    mended = part.root / pixels.name
    mended.write_bytes(pixels.read_bytes() + b"# mended")
    others = tuple(file for file in decoded.CODE if file != pixels)
    monkeypatch.setattr(decoded, "CODE", (*others, mended))


def test_other_images_forms_and_files_are_decoded_again(part: ImageList, monkeypatch: pytest.MonkeyPatch):
    decode(part, FORM)
    assert not is_decoded(part, Form(size=7, interpolation="bilinear"))
    assert not is_decoded(part, Form(size=8, interpolation="bicubic"))
    for change in (
        _touch,
        _cut,
        lambda _: monkeypatch.setattr(decoded, "version", lambda name: "9"),
        lambda part: _change_code(part, monkeypatch),
    ):
        change(part)
        assert find_decoded(part, FORM, range(COUNT)) is None
        assert decode(part, FORM).images == COUNT
        assert find_decoded(part, FORM, range(COUNT)) is not None


def test_what_cannot_be_decoded_is_named_and_leaves_nothing(part: ImageList):
    write_sums(part.listing.parent, part.files)
    content = part.files[33].read_bytes()
    part.files[33].write_bytes(content[:50])
    with pytest.raises(LocalFolderError, match=r"33\.png is no readable image"):
        decode(part, FORM)
    assert find_decoded(part, FORM, range(COUNT)) is None and not list(cache_root().rglob("pixels.bin"))
    part.files[33].write_bytes(part.files[32].read_bytes())
    with pytest.raises(ChecksumError, match=r"33\.png: expected sha256"):
        decode(part, FORM)
