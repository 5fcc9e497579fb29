"""Textile surfaces with and without defects (Megahed et al., arXiv 2501.12596): simulated, 250 x 250 pixels, grey.

There are 2,000 of them, so that the test part holds 1,000.
"""

from typing import TYPE_CHECKING

from ..cache.ledger import cached_reads
from ..errors import DataError
from ..sources import paths
from .splits import Images, VisionSplits, draw, rgb

if TYPE_CHECKING:
    import numpy as np

SEED = 2501  # part of the version
CLASSES = {"nominal": 1000, "local": 500, "global": 500}
"""Surfaces of each class, in the order of the labels."""
SIDE = 250


def textile(train: int = 800, val: int = 200, test: int = 1000) -> VisionSplits:
    """Split the 2,000 surfaces; the test part is drawn first and does not depend on the other two sizes.

    Args:
        train: number of images.
        val: number of images.
        test: number of images.

    Returns:
        The three parts.
    """
    pixels, labels = _all()

    def take(index: "np.ndarray") -> Images:
        return Images(rgb(pixels[index]), labels[index])

    test_index, train_index, val_index = draw(len(labels), SEED, test, train, val)
    return VisionSplits(take(train_index), take(val_index), take(test_index))


@cached_reads(maxsize=1)
def _all() -> "tuple[np.ndarray, np.ndarray]":
    """uint8 (N, 250, 250) and int64 (N,), by class and then by file name."""
    import numpy as np
    from PIL import Image

    pixels = []
    labels = []
    for label, (name, count) in enumerate(CLASSES.items()):
        files = paths("textile", "images", f"{name}/textile_*.jpg")
        if len(files) != count:
            raise DataError(f"textile: {len(files)} surfaces are {name}, expected {count}")
        for file in files:
            with Image.open(file) as image:
                pixels.append(np.asarray(image.convert("L")))
            labels.append(label)
    return np.stack(pixels), np.array(labels, np.int64)
