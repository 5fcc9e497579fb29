"""Fashion-MNIST, all of it: for networks that are trained from scratch

Xiao, Rasul and Vollgraf, arXiv 1708.07747: 55,000 + 5,000 of the training images, all 10,000 test images.
"""

from sparsebench.data.vision.fashion_mnist import CLASSES, fashion_mnist

from ...contracts.context import Target
from ...prediction.data import Splits
from ...prediction.task import PredictionTask
from ..task import mini


class FullFashionMNIST(PredictionTask):
    """Grey images of 28 x 28 pixels. `train_fraction` of the budget takes a part of the training images."""

    version = "1"
    sources = ("fashion-mnist",)
    target = Target("classification", CLASSES)

    def load(self) -> Splits:
        """The fixed splits."""
        return mini(fashion_mnist(train=55_000, val=5_000, test=10_000))
