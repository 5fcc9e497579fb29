"""Scenes with photographed objects (Tux Paint's stamps, GPL-2.0-or-later) on drawn grounds, 128 x 128 pixels

Photographs are cut out and laid on textured grounds with clutter; the objects of the test part are in no image of the
other parts (`data/vision/scenes.py`). 800 + 200 + 2,000 images by the protocol of the mini suite: options are chosen on
200 images, then 1,000 train. The test images show few tens of objects of a kind, so an interval over images is
narrower than one over objects would be. None of these scores is one of VTAB-1K.
"""

from dataclasses import dataclass

from sparsebench.data.vision.scenes import Label, scenes

from ...contracts.context import Target
from ...prediction.chosen import ChosenOnValidation
from ...prediction.data import Splits
from ...prediction.feature_extractor import FeatureExtractor
from ..published_protocol import preprocessing
from ..task import mini

COLUMNS = ("name", "group", "label", "classes", "caption")
ROWS = (
    ("scenes_category", "natural", "category", 9, "Scenes: kind of the large object"),
    ("scenes_orientation", "structured", "orientation", 4, "Scenes: which way up an animal is"),
    ("scenes_count", "structured", "count", 5, "Scenes: number of animals among other things"),
    ("scenes_distance", "structured", "distance", 5, "Scenes: distance of the nearest animal, by its size"),
)


@dataclass(frozen=True, kw_only=True)
class Scenes(ChosenOnValidation):
    """One row."""

    name: str
    group: str
    label: Label
    classes: int

    version = "1"
    sources = ("tuxpaint-stamps",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", Target("classification", self.classes))

    def load(self) -> Splits:
        """800 + 200 + 2,000 images."""
        return mini(scenes(self.label))

    def derive_data(self) -> None:
        """Draw the images once."""
        scenes(self.label)

    def about(self, body: FeatureExtractor) -> str:
        """Size and normalisation."""
        return preprocessing(body)
