"""Capital letters of packaged fonts on clutter: 26 classes, 48 x 48 pixels in colour.

Each image has a background of soft noise, pieces of other letters around its border, and one letter in the middle: in
another colour, turned up to 20 degrees, moved and scaled. Fonts of the test and validation part are not those of the
training part: what is learned has to be the letter.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cache.ledger import cached_reads
from ..sources import path
from .splits import Images, VisionSplits

if TYPE_CHECKING:
    import numpy as np

SEED = 1026  # part of the version
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLASSES = len(LETTERS)
SIDE = 48

TRAIN_FONTS = (
    *("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold"),
    *("STIXGeneral", "STIXGeneralItalic", "cmr10", "cmss10"),
)
OTHER_FONTS = ("DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif-Italic", "STIXGeneralBol", "cmb10", "cmtt10")
"""Fonts of the validation and the test part."""

HEIGHT = (24, 38)
"""Size of the font of the letter in the middle, in pixels."""
TURN = 20
SHIFT = 5
CONTRAST = 70
"""Least distance of the letter's colour and the background's, as a mean over the channels."""
PIECES = (2, 5)


def glyphs(train: int = 800, val: int = 200, test: int = 2000) -> VisionSplits:
    """Three parts, each drawn from a seed of its own, so that the size of one does not change another."""
    return VisionSplits(
        _part(0, train, TRAIN_FONTS),
        _part(1, val, OTHER_FONTS),
        _part(2, test, OTHER_FONTS),
    )


@cached_reads(maxsize=6)
def _part(number: int, count: int, fonts: tuple[str, ...]) -> Images:
    import numpy as np

    files = [path("fonts", "folder", below=f"{name}.ttf") for name in fonts]
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    labels = np.arange(count, dtype=np.int64) % CLASSES  # all letters are equally frequent
    for row in range(count):
        images[row] = _draw(int(labels[row]), files, np.random.default_rng((SEED, number, row)))
    order = np.random.default_rng((SEED, number)).permutation(count)
    return Images(images[order], labels[order])


def _draw(label: int, files: list[Path], rng: "np.random.Generator") -> "np.ndarray":
    """One image, uint8 (S, S, 3)."""
    back = rng.uniform(30, 225, size=3)
    canvas = back + _soft_noise(rng)
    for _ in range(rng.integers(*PIECES)):
        other = LETTERS[int(rng.integers(CLASSES))]
        place = SIDE / 2 + _outwards(rng)
        mask = _letter(other, _font(files, rng), place, rng.uniform(-180, 180))
        canvas = _over(canvas, mask * rng.uniform(0.3, 0.8), rng.uniform(0, 255, size=3))
    middle = SIDE / 2 + rng.uniform(-SHIFT, SHIFT, size=2)
    mask = _letter(LETTERS[label], _font(files, rng), middle, rng.uniform(-TURN, TURN))
    canvas = _over(canvas, mask, _contrasting(back, rng))
    noisy = canvas + rng.normal(0, 6, size=canvas.shape)
    return noisy.clip(0, 255).round().astype("uint8")


def _font(files: list[Path], rng: "np.random.Generator") -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(str(files[int(rng.integers(len(files)))]), int(rng.integers(*HEIGHT)))


def _letter(letter: str, font: Any, place: "np.ndarray", degrees: float) -> "np.ndarray":
    """Opacity (S, S) from 0 to 1 of a turned letter whose middle lies at ``place``."""
    import numpy as np
    from PIL import Image, ImageDraw

    sheet = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(sheet).text((SIDE / 2, SIDE / 2), letter, font=font, fill=255, anchor="mm")
    moved = tuple((place - SIDE / 2).round().astype(int).tolist())
    turned = sheet.rotate(degrees, Image.Resampling.BILINEAR, translate=moved)
    return np.asarray(turned, np.float64) / 255


def _over(canvas: "np.ndarray", opacity: "np.ndarray", colour: "np.ndarray") -> "np.ndarray":
    """The colour laid over the canvas."""
    return canvas + opacity[..., None] * (colour - canvas)


def _outwards(rng: "np.random.Generator") -> "np.ndarray":
    """From the middle to a place near the border."""
    import numpy as np

    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(0.5, 0.65) * SIDE


def _contrasting(back: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """A colour that is far enough from the background's."""
    import numpy as np

    while True:  # backgrounds lie inside 30 to 225, so most colours are far enough
        colour = rng.uniform(0, 255, size=3)
        if np.abs(colour - back).mean() >= CONTRAST:
            return colour


def _soft_noise(rng: "np.random.Generator") -> "np.ndarray":
    """Three octaves of noise, each enlarged to the whole image; (S, S, 3)."""
    import numpy as np
    from PIL import Image

    total = np.zeros((SIDE, SIDE, 3))
    for cells, strength in ((3, 25.0), (6, 14.0), (12, 8.0)):
        for channel in range(3):
            coarse = Image.fromarray(rng.normal(0, strength, size=(cells, cells)).astype(np.float32))
            total[..., channel] += np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return total
