"""What the vision tasks on packaged and drawn images have in common: splits of the data room become those of here."""

from sparsebench.data.vision.splits import VisionSplits

from ..prediction.data import Examples, Splits


def mini(splits: VisionSplits) -> Splits:
    """800 + 200 + test images as examples."""
    return Splits(*(Examples(part.images, part.labels) for part in splits))  # type: ignore[arg-type]
