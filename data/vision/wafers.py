"""Maps of semiconductor wafers with the patterns of defects that WM-811K distinguishes: simulated, nine classes.

A map has a die in each of 52 x 52 places inside a disc; a die has passed or failed. Each class has its own places
where dies fail more often, on top of failures that are spread over the whole wafer. Names of the classes are those of
Wu, Jang and Chen (IEEE Trans. Semicond. Manuf., 2015); the maps are drawn, not measured.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .splits import Images, VisionSplits

if TYPE_CHECKING:
    import numpy as np

SEED = 811  # part of the version
SIDE = 52
CLASSES = ("center", "donut", "edge-loc", "edge-ring", "loc", "random", "scratch", "near-full", "none")
BACKGROUND, PASSED, FAILED = 0, 127, 255
"""Grey values, as maps are usually shown."""
SPREAD = (0.02, 0.12)
"""Share of dies that fail whatever the pattern is."""
WITHIN = (0.55, 0.85)
"""Share of dies that fail inside a pattern."""


class _Places(NamedTuple):
    """Where each die lies, (S, S) each: coordinates from -1 to 1, and the same in polar form."""

    x: "np.ndarray"
    y: "np.ndarray"
    radius: "np.ndarray"
    angle: "np.ndarray"


def wafers(train: int = 800, val: int = 200, test: int = 2000) -> VisionSplits:
    """Three parts, each from a seed of its own; all classes are equally frequent.

    Args:
        train: number of images.
        val: number of images.
        test: number of images.

    Returns:
        The three parts.
    """
    return VisionSplits(*(_part(number, count) for number, count in enumerate((train, val, test))))


def _part(number: int, count: int) -> Images:
    import numpy as np

    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    labels = np.empty(count, np.int64)
    for row in range(count):
        rng = np.random.default_rng((SEED, number, row))
        labels[row] = rng.integers(len(CLASSES))
        images[row] = _draw(int(labels[row]), rng)[..., None]
    return Images(images, labels)


def _draw(label: int, rng: "np.random.Generator") -> "np.ndarray":
    """One map, uint8 (S, S)."""
    import numpy as np

    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    down, across = np.meshgrid(axis, axis, indexing="ij")
    at = _Places(across, down, np.hypot(across, down), np.arctan2(down, across))
    pattern = _PATTERNS[label](at, rng)
    chance = np.maximum(rng.uniform(*SPREAD), pattern * rng.uniform(*WITHIN))
    failed = rng.random((SIDE, SIDE)) < chance
    dies = np.where(failed, FAILED, PASSED)
    return np.where(at.radius < 1, dies, BACKGROUND).astype(np.uint8)


def _center(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    cx, cy = rng.uniform(-0.12, 0.12, size=2)
    return _blob(at.x - cx, at.y - cy, rng.uniform(0.2, 0.4))


def _donut(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    cx, cy = rng.uniform(-0.12, 0.12, size=2)
    middle, wide = rng.uniform(0.4, 0.6), rng.uniform(0.1, 0.18)
    return (np.abs(np.hypot(at.x - cx, at.y - cy) - middle) < wide).astype(float)


def _edge_loc(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    off = np.angle(np.exp(1j * (at.angle - rng.uniform(-np.pi, np.pi))))
    return ((at.radius > rng.uniform(0.72, 0.85)) & (np.abs(off) < rng.uniform(0.25, 0.7))).astype(float)


def _edge_ring(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    gap = np.abs(np.angle(np.exp(1j * (at.angle - rng.uniform(-np.pi, np.pi))))) < rng.uniform(0, 0.6)
    return ((at.radius > rng.uniform(0.8, 0.9)) & ~gap).astype(float)


def _loc(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    turn, far = rng.uniform(-np.pi, np.pi), rng.uniform(0.35, 0.6)
    return _blob(at.x - far * np.cos(turn), at.y - far * np.sin(turn), rng.uniform(0.12, 0.24))


def _random(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    return np.full_like(at.x, rng.uniform(0.4, 0.65))


def _scratch(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    """A bent line a die or two wide."""
    import numpy as np

    turn = rng.uniform(-np.pi, np.pi)
    along = at.x * np.cos(turn) + at.y * np.sin(turn) - rng.uniform(-0.3, 0.3)
    aside = at.y * np.cos(turn) - at.x * np.sin(turn) - rng.uniform(-0.5, 0.5)
    bent = aside - rng.uniform(-0.5, 0.5) * along**2
    return ((np.abs(bent) < 0.035) & (np.abs(along) < rng.uniform(0.35, 0.8))) * 1.15


def _near_full(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    return np.full_like(at.x, rng.uniform(1.1, 1.3))


def _none(at: _Places, rng: "np.random.Generator") -> "np.ndarray":
    import numpy as np

    return np.zeros_like(at.x)


def _blob(x: "np.ndarray", y: "np.ndarray", size: float) -> "np.ndarray":
    """1 in the middle, falling off softly."""
    import numpy as np

    return np.exp(-0.5 * ((x**2 + y**2) / size**2) ** 2)


_PATTERNS: tuple[Callable[..., Any], ...] = (
    *(_center, _donut, _edge_loc, _edge_ring, _loc, _random, _scratch, _near_full, _none),
)
"""By label; each gives of the places of the dies how strongly they are hit, from 0 to about 1."""
