"""Handwritten digits."""

import numpy as np

from sparsebench.data.vision import digits as digits_module
from sparsebench.data.vision.digits import digits
from sparsebench.data.vision.splits import VisionSplits, draw


def check(splits: VisionSplits, sizes: tuple[int, int, int], classes: int, side: int) -> None:
    for part, size in zip(splits, sizes, strict=True):
        assert part.images.shape == (size, side, side, 3) and part.images.dtype == np.uint8
        assert part.labels.shape == (size,) and part.labels.dtype == np.int64
        assert np.array_equal(part.images[..., 0], part.images[..., 2])
        assert part.images.max() == 255 and part.images.min() == 0
        assert set(part.labels.tolist()) == set(range(classes))


def test_digits():
    splits = digits()
    check(splits, (800, 200, 797), digits_module.CLASSES, 8)
    assert np.array_equal(digits(train=10).test.labels, splits.test.labels)


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    reference = load_digits()
    index, *_ = draw(1797, digits_module.SEED, 797, 800, 200)
    images, labels = digits().test
    assert np.array_equal(labels, reference.target[index])
    assert np.abs(images[..., 0] / 255 * 16 - reference.images[index]).max() < 0.04  # rounding to 8 bits
