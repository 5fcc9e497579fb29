"""Coloured blobs drawn from a fixed seed: smoke test only"""

import numpy as np

from ...contracts.context import Target
from ...prediction.data import Examples, Splits
from ...prediction.task import PredictionTask

COLOURS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [180, 180, 60]])


class Blobs(PredictionTask):
    """Four classes, 24 x 24 pixels: the class is the colour of a blob on noise."""

    version = "1"
    group = "smoke"
    sources = ()
    target = Target("classification", len(COLOURS))

    def load(self) -> Splits:
        """64 + 32 + 64 images."""
        rng = np.random.default_rng(0)
        return Splits(*(_draw(rng, count) for count in (64, 32, 64)))


def _draw(rng: np.random.Generator, count: int) -> Examples:
    labels = rng.integers(len(COLOURS), size=count)
    centres = rng.uniform(6, 18, size=(2, count, 1, 1))
    rows, columns = np.mgrid[:24, :24]
    blob = (rows - centres[0]) ** 2 + (columns - centres[1]) ** 2 < 36
    pixels = rng.integers(0, 60, size=(count, 24, 24, 3)) + blob[..., None] * COLOURS[labels][:, None, None]
    return Examples(pixels.clip(0, 255).astype(np.uint8), labels)
