"""One still image as 8-bit RGB, whatever it is stored as; what has no such reading is refused, not clipped."""

from typing import TYPE_CHECKING, Any

from ...errors import LocalFolderError

if TYPE_CHECKING:
    from PIL.Image import Image

SIXTEEN_BITS = ("PNG", "PPM")
"""Formats whose mode "I" holds 16 bits, in versions of Pillow that have no mode of 16 bits for them."""
BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262
WHITE_IS_ZERO = 0
"""Tags of TIFF, and a value of the second."""


def rgb_of(image: "Image", *, upright: bool = False) -> "Image":
    """The image in the mode RGB, of the same size.

    Grey values of 16 bits (and of 12 in a TIFF) are scaled to 8, v 255 / 65535 rounded; what is transparent is laid on
    white. ``upright``: turned as its EXIF orientation says, so that width and height may change places.

    Raises `LocalFolderError` for values that have no range (integers of 32 bits, floating point) and for an image of
    several frames. A photograph in MPO, as telephones write them, is its first frame.
    """
    from PIL import Image, ImageOps

    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise LocalFolderError(f"it holds {frames} frames: save the one that is meant as an image of its own")
    top = _top(image)
    inverted = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO
    if upright:
        image = ImageOps.exif_transpose(image)  # a copy, without format and tags
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_levels(image, top, inverted).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_levels(image: "Image", top: int | None, inverted: bool) -> "Image":
    """A grey image of 8 bits from one of 16. Where white is zero Pillow turns 8 bits round, and these not."""
    import numpy as np
    from PIL import Image

    levels = np.asarray(image).astype(np.int64)
    if top is None or levels.max(initial=0) > top or levels.min(initial=0) < 0:
        kind = "floating-point numbers" if image.mode == "F" else "integers of 32 bits"
        raise LocalFolderError(f"its values are {kind}, which have no range: save it with 8 or 16 bits")
    if inverted:
        levels = top - levels
    return Image.fromarray(((levels * 255 + top // 2) // top).astype(np.uint8))


def _top(image: Any) -> int | None:
    """The value of white, or None where nobody says it."""
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]
        return 2**bits - 1
    if image.mode == "I" and image.format in SIXTEEN_BITS:
        return 2**16 - 1
    return None
