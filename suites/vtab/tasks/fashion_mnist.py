"""Fashion-MNIST: ten kinds of clothing; stands in for VTAB's natural group

Xiao, Rasul and Vollgraf, arXiv 1708.07747: 800 + 200 of the training images, 2,000 of the test images.
"""

from sparsebench.data.vision.fashion_mnist import CLASSES, fashion_mnist

from ...contracts.context import Target
from ...prediction.data import Splits
from ...prediction.task import PredictionTask
from ..task import mini


class FashionMNIST(PredictionTask):
    """Grey images of 28 x 28 pixels."""

    version = "1"
    group = "natural"
    sources = ("fashion-mnist",)
    target = Target("classification", CLASSES)

    def load(self) -> Splits:
        """The fixed splits."""
        return mini(fashion_mnist())
