"""Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 28 x 28 grey images of ten kinds of clothing."""

import gzip
from typing import TYPE_CHECKING

from ..cache.ledger import cached_reads
from ..errors import DataError
from ..sources import path
from .splits import Images, VisionSplits, draw, rgb

if TYPE_CHECKING:
    import numpy as np

SEED = 2017  # part of the version: another seed is another data set
CLASSES = 10


@cached_reads()
def read_idx(key: str) -> "np.ndarray":
    """One of the four IDX files as a read-only uint8 array: images (N, 28, 28) or labels (N,).

    Args:
        key: of the file in the manifest.

    Raises:
        DataError: it is not an IDX file of bytes.
    """
    import numpy as np

    content = gzip.decompress(path("fashion-mnist", key).read_bytes())
    if content[:3] != b"\x00\x00\x08":
        raise DataError(f"fashion-mnist: {key} is not an IDX file of bytes")
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape.astype(int))


def fashion_mnist(train: int = 800, val: int = 200, test: int = 2000) -> VisionSplits:
    """Split the 60,000 training images, and take some of the 10,000 test images.

    Args:
        train: number of training images.
        val: number of training images that validate.
        test: number of test images.

    Returns:
        The three parts.
    """
    train_index, val_index = draw(60_000, SEED, train, val)
    (test_index,) = draw(10_000, SEED, test)
    return VisionSplits(_take("train", train_index), _take("train", val_index), _take("test", test_index))


def _take(part: str, index: "np.ndarray") -> Images:
    return Images(rgb(read_idx(f"{part}_images")[index]), read_idx(f"{part}_labels")[index].astype("int64"))
