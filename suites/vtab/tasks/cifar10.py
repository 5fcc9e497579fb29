"""CIFAR-10: photographs of ten kinds of things, 32 x 32 pixels, from your own copy or the hub's

Krizhevsky, 2009. The folder or zip file that SPARSEBENCH_CIFAR10 names holds {train,test}/<class>/<image>, or the files
of the hub (`data/vision/cifar10.py`), in whole or part; another copy is another cell. `cifar10` trains on 800 + 200 of
the training images, as the sets of VTAB-1K do; `cifar10_part` and `cifar10_full` are for networks that are trained from
scratch, and `train_fraction` of the budget takes a part of the images that train. All test images of the copy are
scored. The backbones vit_tiny_s and vit_tiny_b were pre-trained on training images of CIFAR-10 and their classes: no
score of theirs here is one of transfer.
"""

from dataclasses import dataclass

from sparsebench.data.own.named_folders import not_named
from sparsebench.data.vision.cifar10 import CLASSES, SOURCE, cifar10_splits

from ...contracts.context import Target
from ...contracts.method import NotApplicable
from ...prediction.data import Splits
from ...prediction.task import PredictionTask
from ..task import mini

CHECKS_DATA = True
COLUMNS = ("name", "group", "train", "val", "caption")
ROWS = (
    ("cifar10", "natural", 800, 200, "CIFAR-10, photographs of ten kinds of things, 800 + 200 train: your own copy"),
    ("cifar10_part", "", 10_000, 2_000, "CIFAR-10, 10,000 + 2,000 train, for networks from scratch: your own copy"),
    ("cifar10_full", "", 45_000, 5_000, "CIFAR-10, all of it, for networks from scratch: your own copy"),
)


@dataclass(frozen=True, kw_only=True)
class CIFAR10(PredictionTask):
    """Colour images of 32 x 32 pixels; `train` and `val` are how many train and validate."""

    name: str
    group: str
    train: int
    val: int

    version = "1"
    sources = ("cifar10",)
    target = Target("classification", len(CLASSES))

    def load(self) -> Splits:
        """The splits of the copy that is there. Raises `NotApplicable` where none is named."""
        reason = not_named(SOURCE)
        if reason is not None:
            raise NotApplicable(reason)
        return mini(cifar10_splits(self.train, self.val))

    def check_data(self) -> None:
        """Read all that the task reads, if it is there. Raises `DataError` for what is wrong with it."""
        if not_named(SOURCE) is None:
            self.load()
