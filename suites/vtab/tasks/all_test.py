"""The small tasks with all of their test images, for studies of differences below two points

Training and validation images are those of the tasks without `_all_test`, whose test images are among these: all 10,000
of Fashion-MNIST, the 73,728 that dSprites reserves, which is VTAB's test size, rendered as they are asked for, and
10,000 simulated maps of wafers, of which there is no end. What examples add to an interval is less than half as wide as
with 2,000 of them, and on dSprites a sixth.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sparsebench.data.vision.dsprites import dsprites, dsprites_test
from sparsebench.data.vision.fashion_mnist import fashion_mnist
from sparsebench.data.vision.wafers import wafers

from ...contracts.context import Target
from ...prediction.data import Examples, Splits
from ...prediction.task import PredictionTask
from ..task import mini

COLUMNS = ("name", "group", "classes", "sources", "caption")
ROWS = (
    ("fashion_mnist_all_test", "natural", 10, ("fashion-mnist",), "Fashion-MNIST, all 10,000 test images"),
    ("wafers_all_test", "specialized", 9, ("wafers",), "Defect patterns of wafers, simulated, 10,000 test maps"),
    ("dsprites_location_all_test", "structured", 16, ("dsprites",), "dSprites location, all 73,728 test images"),
    ("dsprites_orientation_all_test", "structured", 16, ("dsprites",), "dSprites orientation, all 73,728 test images"),
)


def _sprites(label: str) -> Splits:
    """Test images are rendered when they are asked for: together they would be 0.9 GB."""
    small = mini(dsprites(label, test=0))  # type: ignore[arg-type]
    return Splits(small.train, small.val, Examples(*dsprites_test(label)))  # type: ignore[arg-type]


DATA: Mapping[str, Callable[[], Splits]] = {
    "fashion_mnist_all_test": lambda: mini(fashion_mnist(test=10_000)),
    "wafers_all_test": lambda: mini(wafers(test=10_000)),
    "dsprites_location_all_test": partial(_sprites, "location"),
    "dsprites_orientation_all_test": partial(_sprites, "orientation"),
}


@dataclass(frozen=True, kw_only=True)
class AllTest(PredictionTask):
    """One row."""

    name: str
    group: str
    classes: int
    sources: tuple[str, ...]

    version = "1"

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", Target("classification", self.classes))

    def load(self) -> Splits:
        """The fixed splits."""
        return DATA[self.name]()
