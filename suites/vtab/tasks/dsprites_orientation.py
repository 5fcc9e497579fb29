"""dSprites orientation: angle of a sprite in 16 bins; VTAB's rule, our rendering

Factor grid of Matthey et al., 2017; label rule of Zhai et al., arXiv 1910.04867: 800 + 200 + 2,000 images.
"""

from sparsebench.data.vision.dsprites import CLASSES, dsprites

from ...contracts.context import Target
from ...prediction.data import Splits
from ...prediction.task import PredictionTask
from ..task import mini


class DspritesOrientation(PredictionTask):
    """Black and white images of 64 x 64 pixels."""

    version = "1"
    group = "structured"
    sources = ("dsprites",)
    target = Target("classification", CLASSES)

    def load(self) -> Splits:
        """The fixed splits."""
        return mini(dsprites("orientation"))
