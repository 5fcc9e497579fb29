"""Handwritten digits, 8 x 8 pixels; stands in for VTAB's natural group (SVHN)

Alpaydin and Kaynak, 1998 (UCI): 800 + 200 + 797 of the 1,797 images that scikit-learn ships.
"""

from sparsebench.data.vision.digits import CLASSES, digits

from ...contracts.context import Target
from ...prediction.data import Splits
from ...prediction.task import PredictionTask
from ..task import mini


class Digits(PredictionTask):
    """Grey images of 8 x 8 pixels."""

    version = "1"
    group = "natural"
    sources = ("digits",)
    target = Target("classification", CLASSES)

    def load(self) -> Splits:
        """The fixed splits."""
        return mini(digits())
