"""The mini suite: VTAB's three groups and its protocol, on data that need no hub

Options are chosen on 200 images, then 1,000 train, and the last epoch is scored on 2,000 images (textile 1,000, digits
797). `suites/prediction/chosen.py` says how the choice is made. Natural: clothing, digits. Specialized: inspection of
textile and of wafers, both simulated. Structured: sprites on dSprites' grid. None of these scores is one of VTAB-1K.
"""

from dataclasses import dataclass

from ...contracts.context import Target
from ..mini_suite import MiniTask

COLUMNS = ("name", "group", "classes", "sources", "caption")
ROWS = (
    ("mini_clothing", "natural", 10, ("fashion-mnist",), "Mini: kinds of clothing (Fashion-MNIST)"),
    ("mini_digits", "natural", 10, ("digits",), "Mini: handwritten digits"),
    ("mini_textile", "specialized", 3, ("textile",), "Mini: textile inspection (simulated surfaces)"),
    ("mini_wafers", "specialized", 9, ("wafers",), "Mini: defect patterns of wafers (simulated maps)"),
    ("mini_location", "structured", 16, ("dsprites",), "Mini: horizontal position of a sprite (dSprites grid)"),
    ("mini_orientation", "structured", 16, ("dsprites",), "Mini: orientation of a sprite (dSprites grid)"),
)


@dataclass(frozen=True, kw_only=True)
class Mini(MiniTask):
    """One row."""

    name: str
    group: str
    classes: int
    sources: tuple[str, ...]

    version = "1"

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", Target("classification", self.classes))
