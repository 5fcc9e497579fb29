"""Handwritten digits (Alpaydin and Kaynak, 1998): 1,797 grey images of 8 x 8 pixels, ten classes."""

from typing import TYPE_CHECKING

from ..sources import path
from .splits import Images, VisionSplits, draw, rgb

if TYPE_CHECKING:
    import numpy as np

SEED = 1998  # part of the version
CLASSES = 10
SIZE = 1797


def digits(train: int = 800, val: int = 200, test: int = 797) -> VisionSplits:
    """Split the 1,797 images; the test part is drawn first and does not depend on the other two sizes.

    Args:
        train: number of images.
        val: number of images.
        test: number of images.

    Returns:
        The three parts.
    """
    import numpy as np

    table = np.loadtxt(path("digits", "table"), delimiter=",")
    grey = np.round(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)  # stored as 0..16
    labels = table[:, -1].astype(np.int64)

    def take(index: "np.ndarray") -> Images:
        return Images(rgb(grey[index]), labels[index])

    test_index, train_index, val_index = draw(SIZE, SEED, test, train, val)
    return VisionSplits(take(train_index), take(val_index), take(test_index))
