"""A recipe and photographs that are small enough for tests."""

import numpy as np
import pytest

from sparsebench.data.vision.splits import Images
from sparsebench.suites.vtab.own_vit import ViTShape
from sparsebench.suites.vtab.pretraining.recipes import Recipe
from sparsebench.suites.vtab.pretraining.sources import Source
from sparsebench.suites.vtab.pretraining.training import sources


@pytest.fixture
def photographs() -> Images:
    """Thirty images, three of each class; noise stands for what is on them."""
    pixels = np.random.default_rng(0).integers(256, size=(30, 32, 32, 3), dtype=np.uint8)
    return Images(pixels, np.arange(30) % 10)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        shape=ViTShape(width=32, depth=2, size=24, patch=6),
        fractals=4,
        contours=5,
        photographs=7,
        fractal_categories=6,
        contour_categories=8,
        steps=4,
        learning_rate=1e-3,
        wave_positions=True,
        whole=0.5,
    )


@pytest.fixture
def learnt(recipe: Recipe, photographs: Images) -> list[Source]:
    return sources(recipe, photographs)
