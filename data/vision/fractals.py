"""Fractal categories: images from iterated function systems, with labels that cost nothing.

A category is a set of contracting affine maps; its picture is the attractor, drawn by the chaos game (FractalDB:
Kataoka et al., ACCV 2020). The maps are drawn by their singular values with a bounded sigma-factor, which gives
attractors that are neither dust nor blobs (Anderson and Farrell, WACV 2022, arXiv 2110.03091). Every image changes its
maps a little and has its own place, size, angle, colours and noise.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

# Shapes: C categories, K maps of a category, B images, W walkers of an image, P points of an image, S side in pixels.

IMAGE_SIZE = 32
MAPS = range(2, 7)  # maps of a category
WALKERS, BURN_IN, STEPS = 64, 12, 24
JITTER = 0.1  # relative change of each entry of a map, from image to image
TURN = 30  # degrees, to either side
SIZE = (0.6, 1.0)  # half-width of an attractor, where the image has 1
EXTENT = 2.2  # half-width of an attractor in standard deviations of its longer axis
PLACEMENT = ("x", "y", "size", "angle")


class Categories(NamedTuple):
    """``maps`` float32 (C, K, 2, 3), matrix and shift; ``chance`` float32 (C, K), the cumulated chance of each map."""

    maps: "np.ndarray"
    chance: "np.ndarray"


class FractalImages(NamedTuple):
    """``images`` uint8 (B, S, S, 3); ``labels`` int64 (B,), the category; ``placement`` float32 (B, 4), where it is.

    Placement: centre x and y, half-width and angle, from -1 to 1 each.
    """

    images: "np.ndarray"
    labels: "np.ndarray"
    placement: "np.ndarray"


def categories(count: int, seed: int) -> Categories:
    """``count`` categories from ``seed``; a larger count only extends them."""
    import numpy as np

    maps = np.zeros((count, MAPS[-1], 2, 3), np.float32)
    chance = np.ones((count, MAPS[-1]), np.float32)
    for category in range(count):
        rng = np.random.default_rng((seed, category))
        drawn = _maps(rng, int(rng.choice(MAPS)))
        area = np.abs(np.linalg.det(drawn[:, :, :2])) + 0.01
        maps[category, : len(drawn)] = drawn
        chance[category, : len(drawn)] = np.cumsum(area / area.sum())
    chance[:, -1] = 1
    return Categories(maps, chance)


def _maps(rng: "np.random.Generator", count: int) -> "np.ndarray":
    """(n, 2, 3): rotation, singular values, rotation, reflection; sigma-factor from (5 + n) / 2 to (6 + n) / 2."""
    import numpy as np

    values = np.ones((count, 2))
    while values.max() >= 1:
        values = -np.sort(-rng.uniform(size=(count, 2)))
        values *= rng.uniform(5 + count, 6 + count) / 2 / (values @ (1, 2)).sum()
    left = _rotation(rng.uniform(0, 2 * np.pi, size=count))
    right = _rotation(rng.uniform(0, 2 * np.pi, size=count))
    signs = rng.choice((-1, 1), size=(count, 1, 2))
    shift = rng.uniform(-1, 1, size=(count, 2, 1))
    return np.concatenate((left * values[:, None] @ right * signs, shift), axis=-1)


def _rotation(angle: "np.ndarray") -> "np.ndarray":
    """(N,) -> (N, 2, 2)."""
    import numpy as np

    cos = np.cos(angle)
    sin = np.sin(angle)
    first_row = np.stack((cos, -sin), -1)
    second_row = np.stack((sin, cos), -1)
    return np.stack((first_row, second_row), -2)


def draw_fractals(
    kinds: Categories, labels: "np.ndarray", rng: "np.random.Generator", side: int = IMAGE_SIZE
) -> FractalImages:
    """One image for each label; all else comes from ``rng``. About 5,000 images a second on one core."""
    import numpy as np

    points = _chaos_game(kinds, labels, rng)
    size = rng.uniform(*SIZE, size=len(labels))
    centre = rng.uniform(-1, 1, size=(len(labels), 2)) * (1 - 0.7 * size)[:, None]
    angle = rng.uniform(-1, 1, size=len(labels))
    turn = (_rotation(np.radians(TURN) * angle) * size[:, None, None]).astype(np.float32)
    points = points @ turn.swapaxes(1, 2) + centre[:, None].astype(np.float32)
    images = _paint(_density(points, side), rng)
    relative = (size - np.mean(SIZE)) / (SIZE[1] - SIZE[0]) * 2
    place = np.column_stack((centre, relative, angle)).astype(np.float32)
    return FractalImages(images, np.asarray(labels, np.int64), place)


def _chaos_game(kinds: Categories, labels: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """Points (B, P, 2) of each attractor, centred, the longer axis about -1 to 1: walkers that apply random maps."""
    import numpy as np

    count = len(labels)
    maps = kinds.maps[labels] * rng.uniform(1 - JITTER, 1 + JITTER, size=(count, MAPS[-1], 2, 3)).astype(np.float32)
    limits = kinds.chance[labels].T[:-1, :, None]
    rows = np.arange(count)[:, None]
    x = y = np.zeros((count, WALKERS), np.float32)
    path = np.empty((count, STEPS, WALKERS, 2), np.float32)
    for step in range(-BURN_IN, STEPS):
        dice = rng.random((count, WALKERS), np.float32)
        choice = sum((dice > limit).view(np.int8) for limit in limits)
        (xx, xy, x0), (yx, yy, y0) = np.moveaxis(maps[rows, choice], (2, 3), (0, 1))
        x, y = xx * x + xy * y + x0, yx * x + yy * y + y0  # both from the old x and y
        if step >= 0:
            path[:, step, :, 0] = x
            path[:, step, :, 1] = y
    points = path.reshape(count, -1, 2)
    points -= points.mean(1, keepdims=True)
    longer = np.sqrt(np.square(points).mean(1).max(-1))
    return points / (EXTENT * longer + 1e-6)[:, None, None]


def _density(points: "np.ndarray", side: int) -> "np.ndarray":
    """Opacity (B, S, S) from 0 to 1 of points (B, P, 2); those outside -1 to 1 are excluded."""
    import numpy as np

    pixel = np.floor((points + 1) * (side / 2)).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < side)).all(-1)
    image = np.arange(len(points))[:, None]
    index = ((image * side + pixel[..., 1]) * side + pixel[..., 0])[inside]
    count = np.bincount(index, minlength=len(points) * side * side).reshape(len(points), side, side)
    mean = count.sum((1, 2)) / np.maximum((count > 0).sum((1, 2)), 1)
    return 1 - np.exp(-2 * count / np.maximum(mean, 1)[:, None, None])


def _paint(opacity: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """uint8 (B, S, S, 3): bright on dark, half of the images grey, with noise."""
    import numpy as np

    count = len(opacity)
    dark = rng.uniform(0, 0.4, size=(count, 3))
    bright = rng.uniform(0.6, 1, size=(count, 3))
    grey = rng.random((count, 1)) < 0.5
    dark = np.where(grey, dark[:, :1], dark)[:, None, None]
    bright = np.where(grey, bright[:, :1], bright)[:, None, None]
    pixels = dark + (bright - dark) * opacity[..., None]
    noise = rng.normal(size=(*opacity.shape, 1)) * rng.uniform(0, 0.08, size=(count, 1, 1, 1))
    return ((pixels + noise).clip(0, 1) * 255).round().astype(np.uint8)
