"""The data of the mini suite by task: packaged or simulated, in the sizes of VTAB-1K."""

from collections.abc import Callable, Mapping
from functools import partial

from sparsebench.data.vision.digits import digits
from sparsebench.data.vision.dsprites import dsprites
from sparsebench.data.vision.fashion_mnist import fashion_mnist
from sparsebench.data.vision.splits import VisionSplits
from sparsebench.data.vision.textile import textile
from sparsebench.data.vision.wafers import wafers

from ..prediction.chosen import ChosenOnValidation
from ..prediction.data import Splits
from ..prediction.feature_extractor import FeatureExtractor
from .published_protocol import preprocessing
from .task import mini

DATA: Mapping[str, Callable[[], VisionSplits]] = {
    "mini_clothing": fashion_mnist,
    "mini_digits": digits,
    "mini_location": partial(dsprites, "location"),
    "mini_orientation": partial(dsprites, "orientation"),
    "mini_textile": textile,
    "mini_wafers": wafers,
}


class MiniTask(ChosenOnValidation):
    """A task of the mini suite, by the protocol of published VTAB-1K numbers. It is not VTAB-1K."""

    name: str

    def load(self) -> Splits:
        """800 + 200 images and the test part."""
        return mini(DATA[self.name]())

    def derive_data(self) -> None:
        """Read the sources once; what has to be drawn is drawn and kept."""
        DATA[self.name]()

    def about(self, body: FeatureExtractor) -> str:
        """Size and normalisation."""
        return preprocessing(body)
