"""dSprites (Matthey et al., 2017) rendered again on its exact factor grid, with VTAB's two label rules.

737,280 binary images of 64 x 64 pixels: colour 1 x shape 3 (square, ellipse, heart) x scale 6 (0.5..1) x
orientation 40 (0..2 pi, both ends included) x position x 32 x position y 32 (0..1). An image's index is the
mixed radix number of its factors in this order. The renderer is ours: the grid and the labels are those of
dSprites, the pixels are not. A sprite of scale 1 has about 20 pixels; no sprite leaves the image.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from .splits import Images, VisionSplits, draw, rgb

if TYPE_CHECKING:
    import numpy as np

SEED = 2017  # part of the version
IMAGE_SIZE = 64
SHAPES, SCALES, ORIENTATIONS, POSITIONS_X, POSITIONS_Y = FACTOR_SIZES = (3, 6, 40, 32, 32)
TOTAL = 737_280
CLASSES = 16
TEST_RESERVE = 73_728  # VTAB's test size: training images are never drawn from this part of the permutation

Label = Literal["location", "orientation"]

# Pixels at scale 1. No multiple by a scale is a whole number, so that no pixel centre lies on an outline.
_HALF_SQUARE = 10.25
_ELLIPSE_AXES = (11.25, 7.25)
_HEART_UNIT = 9.25
_MARGIN = 16.0  # centre of the first position; the last is at 64 - 16 - 1, one pixel per step


def factors_of(index: "np.ndarray") -> "np.ndarray":
    """Indices (N,) -> factor classes (N, 5): shape, scale, orientation, position x, position y."""
    import numpy as np

    return np.stack(np.unravel_index(index, FACTOR_SIZES), axis=-1)


def index_of(factors: "np.ndarray") -> "np.ndarray":
    """Factor classes (N, 5) -> indices (N,), the inverse of `factors_of`."""
    import numpy as np

    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(factors, -1, 0)), FACTOR_SIZES))


def labels_of(index: "np.ndarray", label: Label) -> "np.ndarray":
    """VTAB's classes 0..15: floor(l / (n / 16)) of position x (n = 32) or orientation (n = 40), int64 (N,)."""
    factors = factors_of(index)
    if label == "location":
        classes = factors[:, 3] * CLASSES // POSITIONS_X
    else:
        classes = factors[:, 2] * CLASSES // ORIENTATIONS
    return classes.astype("int64")


def render(index: "np.ndarray", chunk: int = 256) -> "np.ndarray":
    """Render images by index: uint8 (N, 64, 64), values 0 and 255, row = y, column = x."""
    import numpy as np

    images = np.zeros((len(index), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for start in range(0, len(index), chunk):
        part = slice(start, start + chunk)
        images[part] = _render(index[part])
    return images


def _render(index: "np.ndarray") -> "np.ndarray":
    """Test each pixel centre for being inside the sprite, in the sprite's own unrotated frame of scale 1."""
    import numpy as np

    shape, scale, orientation, x, y = factors_of(index).T[:, :, None, None]
    size = np.linspace(0.5, 1, SCALES, dtype=np.float32)[scale]
    angle = np.linspace(0, 2 * np.pi, ORIENTATIONS)[orientation]
    cos = np.cos(angle).astype(np.float32) / size
    sin = np.sin(angle).astype(np.float32) / size
    pixels = np.arange(IMAGE_SIZE, dtype=np.float32)
    across = pixels[None, None, :] - (_MARGIN + x).astype(np.float32)
    down = pixels[None, :, None] - (_MARGIN + y).astype(np.float32)
    u = cos * across + sin * down
    v = cos * down - sin * across
    inside = np.empty(u.shape, bool)
    for kind, test in enumerate((_in_square, _in_ellipse, _in_heart)):
        chosen = shape[:, 0, 0] == kind
        inside[chosen] = test(u[chosen], v[chosen])
    return inside.astype(np.uint8) * np.uint8(255)


def _in_square(u: "np.ndarray", v: "np.ndarray") -> "np.ndarray":
    return (abs(u) <= _HALF_SQUARE) & (abs(v) <= _HALF_SQUARE)


def _in_ellipse(u: "np.ndarray", v: "np.ndarray") -> "np.ndarray":
    return (u / _ELLIPSE_AXES[0]) ** 2 + (v / _ELLIPSE_AXES[1]) ** 2 <= 1


def _in_heart(u: "np.ndarray", v: "np.ndarray") -> "np.ndarray":
    """The sextic heart (a^2 + b^2 - 1)^3 <= a^2 b^3, tip down at orientation 0."""
    a2 = (u / _HEART_UNIT) ** 2
    b = -v / _HEART_UNIT
    return (a2 + b * b - 1) ** 3 <= a2 * b**3


def dsprites(label: Label, train: int = 800, val: int = 200, test: int = 2000) -> VisionSplits:
    """Rendered splits with one of VTAB's two labels; both labels share the same images, as in VTAB.

    100 % on orientation is impossible: squares and ellipses look the same after a part of a turn.

    Args:
        label: which of the two.
        train: number of images.
        val: number of images.
        test: number of images, the first of those that are reserved for testing.

    Raises:
        ValueError: an unknown label, and more test images than are reserved.
    """
    _check_label(label)
    if test > TEST_RESERVE:
        raise ValueError(f"{test} test images are asked for, but {TEST_RESERVE} are reserved for testing")
    test_index, train_index, val_index = draw(TOTAL, SEED, TEST_RESERVE, train, val)

    def take(index: "np.ndarray") -> Images:
        return Images(rgb(render(index)), labels_of(index, label))

    return VisionSplits(take(train_index), take(val_index), take(test_index[:test]))


class Sprites(Sequence[Any]):
    """Images of dSprites that are rendered when they are asked for: uint8 (64, 64, 3) each, a slice is `Sprites`."""

    def __init__(self, numbers: "np.ndarray") -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Sprites(self.numbers[place])
        return rgb(render(self.numbers[place][None]))[0]


def dsprites_test(label: Label) -> "tuple[Sprites, np.ndarray]":
    """All images that are reserved for testing, with one of VTAB's two labels; the first ones are those of `dsprites`.

    Args:
        label: which of the two.

    Returns:
        Images, and labels int64 (73,728,).

    Raises:
        ValueError: an unknown label.
    """
    _check_label(label)
    (index,) = draw(TOTAL, SEED, TEST_RESERVE)
    return Sprites(index), labels_of(index, label)


def _check_label(label: str) -> None:
    if label not in get_args(Label):
        raise ValueError(f"label is {label!r}; labels: {', '.join(get_args(Label))}")
