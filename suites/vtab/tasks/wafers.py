"""Defect patterns of wafers, nine classes, simulated; stands in for VTAB's specialized group

The classes are those of Wu, Jang and Chen (IEEE Trans. Semicond. Manuf., 2015); the maps are drawn, not measured:
800 + 200 + 2,000.
"""

from sparsebench.data.vision.wafers import CLASSES, wafers

from ...contracts.context import Target
from ...prediction.data import Splits
from ...prediction.task import PredictionTask
from ..task import mini


class Wafers(PredictionTask):
    """Grey images of 52 x 52 pixels."""

    version = "1"
    group = "specialized"
    sources = ("wafers",)
    target = Target("classification", len(CLASSES))

    def load(self) -> Splits:
        """The fixed splits."""
        return mini(wafers())
