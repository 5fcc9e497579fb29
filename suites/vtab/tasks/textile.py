"""Textile surfaces, sound or not, simulated; stands in for VTAB's specialized group

Megahed et al., arXiv 2501.12596: 800 + 200 of the 2,000 surfaces, and all of the other 1,000.
"""

from sparsebench.data.vision.textile import CLASSES, textile

from ...contracts.context import Target
from ...prediction.data import Splits
from ...prediction.task import PredictionTask
from ..task import mini


class Textile(PredictionTask):
    """Grey images of 250 x 250 pixels."""

    version = "1"
    group = "specialized"
    sources = ("textile",)
    target = Target("classification", len(CLASSES))

    def load(self) -> Splits:
        """The fixed splits."""
        return mini(textile())
