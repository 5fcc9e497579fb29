"""Fashion-MNIST."""

import shutil

import numpy as np
import pytest

from sparsebench.data.vision import fashion_mnist as fashion_module
from sparsebench.data.vision.fashion_mnist import fashion_mnist

from .test_digits import check

debian = pytest.mark.skipif(shutil.which("apt-get") is None, reason="Fashion-MNIST is a Debian package")


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
