import shutil

import numpy as np
import pytest

from sparsebench.data.vision import digits as digits_module
from sparsebench.data.vision import fashion_mnist as fashion_module
from sparsebench.data.vision.digits import digits
from sparsebench.data.vision.fashion_mnist import fashion_mnist
from sparsebench.data.vision.splits import VisionSplits, draw

debian = pytest.mark.skipif(shutil.which("apt-get") is None, reason="Fashion-MNIST is a Debian package")


def check(splits: VisionSplits, sizes: tuple[int, int, int], classes: int, side: int) -> None:
    for part, size in zip(splits, sizes, strict=True):
        assert part.images.shape == (size, side, side, 3) and part.images.dtype == np.uint8
        assert part.labels.shape == (size,) and part.labels.dtype == np.int64
        assert np.array_equal(part.images[..., 0], part.images[..., 2])
        assert part.images.max() == 255 and part.images.min() == 0
        assert set(part.labels.tolist()) == set(range(classes))


def test_draw_is_disjoint_and_extends():
    first, second = draw(100, 7, 30, 20)
    assert not set(first) & set(second)
    assert draw(100, 7, 40)[0][:30].tolist() == first.tolist()
    with pytest.raises(ValueError, match=r"90 \+ 20 images are asked for, but there are 100"):
        draw(100, 7, 90, 20)


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


@pytest.mark.data
@debian
def test_fashion_mnist():
    check(fashion_mnist(), (800, 200, 2000), fashion_module.CLASSES, 28)
    assert fashion_module.read_idx("train_images").shape == (60_000, 28, 28)
    assert fashion_module.read_idx("test_images").shape == (10_000, 28, 28)
    assert np.bincount(fashion_module.read_idx("train_labels")).tolist() == [6000] * 10
    assert np.bincount(fashion_module.read_idx("test_labels")).tolist() == [1000] * 10


@pytest.mark.data
@debian
def test_fashion_mnist_images_carry_their_labels():
    """A nearest-mean classifier on 800 images is far above chance, so images and labels belong together."""
    train, _, test = fashion_mnist()
    means = np.stack([train.images[train.labels == c, ..., 0].mean(axis=0).ravel() for c in range(10)])
    flat = test.images[..., 0].reshape(len(test.labels), -1).astype(float)
    nearest = ((flat**2).sum(1)[:, None] - 2 * flat @ means.T + (means**2).sum(1)).argmin(axis=1)
    assert (nearest == test.labels).mean() > 0.6
