"""A whole folder of the smallest of the nineteen tasks, KITTI (711 test images), with drawn images."""

from pathlib import Path
from typing import Any

import numpy as np

from sparsebench.data.vision.vtab1k.builder import build_task

TASK = "kitti"
DEPTHS = ([5.0], [15.0], [40.0], [])
"""Of the vehicles in an image of each class."""


def splits(side: int = 10) -> dict[str, list[dict[str, Any]]]:
    """Examples as TFDS gives them; all classes are equally frequent, and an image's colour says which it is."""
    generator = np.random.default_rng(0)
    counts = {"train": 800, "validation": 200, "test": 711}
    return {name: [_example(generator, number % 4, side) for number in range(count)] for name, count in counts.items()}


def _example(generator: np.random.Generator, label: int, side: int) -> dict[str, Any]:
    pixels = generator.integers(0, 90, size=(side, side + 2, 3))
    pixels[..., label % 3] += 60 + 60 * (label == 3)
    depths = DEPTHS[label]
    objects = {"type": [0] * len(depths) + [5], "location": [[0.0, 0.0, depth] for depth in [*depths, 1.0]]}
    return {"image": pixels.astype(np.uint8), "objects": objects}


def write_kitti(root: Path) -> Path:
    """Build the folder below `root`; gives `root`."""
    build_task(TASK, splits(), root)
    return root
