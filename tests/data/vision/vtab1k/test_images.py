"""Images of a folder: all kinds become RGB, and one that cannot be read is named."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.cache.ledger import reading
from sparsebench.data.errors import LocalFolderError
from sparsebench.data.vision.vtab1k.images import ImageList, read_rgb


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str):
    Image.new(mode, (8, 6), None).save(tmp_path / "a.jpg")
    pixels = read_rgb(tmp_path / "a.jpg")
    assert pixels.shape == (6, 8, 3) and pixels.dtype == np.uint8


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_an_uncompressed_tiff_is_turned_whole(tmp_path: Path, kind: type, orientation: int):
    """Grey ones that are turned by 90 degrees came as other pictures: their rows were cut at the wrong places."""
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(levels.astype(kind) * (257 if kind is np.uint16 else 1)).save(
        tmp_path / "a.tif", tiffinfo={274: orientation}
    )
    turned = np.rot90(levels, {3: 2, 6: -1, 8: 1}[orientation])
    assert np.array_equal(read_rgb(tmp_path / "a.tif", upright=True)[..., 0], turned)


@pytest.mark.parametrize("kept", [0, 20, 300])
@pytest.mark.parametrize("form", ["jpg", "png"])
def test_a_cut_file_is_named(tmp_path: Path, form: str, kept: int):
    file = tmp_path / f"a.{form}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(LocalFolderError, match=re.escape(str(file)) + " is no readable image"):
        read_rgb(file)


def test_what_is_opened_counts_as_read(tmp_path: Path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    images = ImageList(
        source="vtab-1k", root=tmp_path, listing=tmp_path / "test.txt", files=(tmp_path / "a.png",), labels=(3,)
    )
    with reading() as reads:
        pixels, label = images[0]
    assert len(images) == 1 and label == 3 and pixels.shape == (4, 4, 3)
    assert [(read.place, read.name) for read in reads.files()] == [("vtab-1k", "a.png")]
