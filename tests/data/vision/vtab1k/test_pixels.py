"""Images of every depth and kind that users have: read by their meaning, or refused."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.vision.vtab1k.pixels import rgb_of

RAMP = np.linspace(0, 65535, 4096).reshape(64, 64).astype(np.uint16)
EIGHT_BITS = np.rint(RAMP / 257)


def stored(image: Image.Image, form: str, **options: Any) -> Image.Image:
    """As it is read from a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def grey(image: Image.Image, **options: Any) -> np.ndarray:
    found = rgb_of(image, **options)
    assert found.mode == "RGB"
    pixels = np.asarray(found)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


@pytest.mark.parametrize("form", ["PNG", "PPM", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(form: str):
    assert np.array_equal(grey(stored(Image.fromarray(RAMP), form)), EIGHT_BITS)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_each_mode_that_pillow_has_had_for_sixteen_bits(mode: str):
    kinds = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}
    image: Any = Image.frombytes(mode, (64, 64), RAMP.astype(kinds[mode]).tobytes())
    image.format = "PNG"
    assert np.array_equal(grey(image), EIGHT_BITS)


def tiff(tag: int, before: int, after: int, pixels: bytes) -> Image.Image:
    """RAMP with other pixels and another value of a tag of one 16-bit number; Pillow writes neither kind itself."""
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, "TIFF")
    entry = struct.pack("<HHI", tag, 3, 1)
    content = buffer.getvalue().replace(entry + struct.pack("<H", before), entry + struct.pack("<H", after))
    written = RAMP.tobytes()
    return Image.open(io.BytesIO(content.replace(written, pixels.ljust(len(written), b"\0"))))


@pytest.mark.parametrize("upright", [False, True])
def test_twelve_bits_of_a_tiff_are_a_range_of_their_own(upright: bool):
    """Upright they were a sixteenth as bright."""
    levels = RAMP >> 4
    first, second = levels.reshape(-1, 2).T
    three_bytes = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1)
    image = tiff(258, 16, 12, three_bytes.astype(np.uint8).tobytes())
    assert np.array_equal(grey(image, upright=upright), np.rint(levels / 4095 * 255))


@pytest.mark.parametrize("upright", [False, True])
def test_where_white_is_zero_sixteen_bits_are_no_negative(upright: bool):
    image = tiff(262, 1, 0, RAMP.tobytes())
    assert np.array_equal(grey(image, upright=upright), np.rint((65535 - RAMP) / 257))


@pytest.mark.parametrize(("kind", "words"), [(np.float32, "floating-point numbers"), (np.int32, "integers of 32 bits")])
def test_values_without_a_range_are_refused(kind: Any, words: str):
    with pytest.raises(LocalFolderError, match=f"its values are {words}, which have no range: save it with 8 or 16"):
        rgb_of(stored(Image.fromarray(RAMP.astype(kind)), "TIFF"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white_and_not_the_colour_under_it(mode: str):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, :, 3] = 255
    image = Image.fromarray(pixels)
    options: Any = {}
    if mode == "P":
        indices = np.array([[0, 0], [1, 1]], np.uint8)
        image = Image.fromarray(indices, "L").convert("P")
        image.putpalette([0, 0, 0, 0, 0, 0])
        options["transparency"] = 1
    elif mode == "LA":
        image = image.convert("LA")
    assert grey(stored(image, "PNG", **options)).tolist() == [[0, 0], [255, 255]]


def test_an_opaque_alpha_channel_changes_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    opaque = stored(Image.fromarray(pixels).convert("RGBA"), "PNG")
    assert np.array_equal(np.asarray(rgb_of(opaque)), pixels)


def test_several_frames_are_refused_but_for_photographs_of_telephones():
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("white", "black")]
    moving = stored(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(LocalFolderError, match="it holds 2 frames: save the one that is meant"):
        rgb_of(moving)
    assert grey(stored(frames[0], "GIF")).min() == 255
    telephone = stored(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert telephone.format == "MPO" and grey(telephone).min() == 255


def test_photographs_are_turned_where_that_is_asked_for():
    lying = Image.new("L", (4, 2))
    lying.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter of a turn clockwise
    image = stored(lying, "PNG", exif=exif)
    assert grey(image).shape == (2, 4)
    upright = grey(image, upright=True)
    assert upright.shape == (4, 2) and upright[0].tolist() == [0, 255]
