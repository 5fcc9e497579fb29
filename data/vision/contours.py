"""Contour categories: closed curves from a few waves around a circle, with labels that cost nothing.

A category is a radius as a function of the angle, r(phi) = 1 + sum_k a_k cos(n_k phi + p_k), divided by the largest
value that it can have. Families of such curves without any photograph pre-train vision transformers (radial contours:
Kataoka et al., CVPR 2022; sums of waves: Takashima et al., CVPR 2023, arXiv 2303.01112). Every image changes its waves
a little, makes the curve narrower across its first axis and turns it, and has its own place, size, colours, background
and noise; half of the curves are filled, half are outlines. A network can find the angle of the long axis without
knowing the category.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

# Shapes: C categories, K waves of a category, B images, S side in pixels.

IMAGE_SIZE = 32
WAVES = 3
FREQUENCIES = range(2, 8)
AMPLITUDE = (0.08, 0.3)  # of a wave, where the circle has radius 1
JITTER = 0.1  # relative change of each amplitude, from image to image
SIZE = (0.35, 0.8)  # largest radius of a curve, where the image reaches from -1 to 1
NARROW = (0.4, 0.75)  # of its width in the other direction
OUTLINE = (0.8, 1.6)  # half of the width of an outline, in pixels
GRATING = 0.08  # largest amplitude of the background's wave
NOISE = 0.05  # largest standard deviation, where the brightest value is 1
PLACEMENT = ("x", "y", "size", "cosine of twice the angle", "sine of twice the angle")


class Contours(NamedTuple):
    """Waves of each category, each (C, K): ``frequency`` int64, ``amplitude`` and ``phase`` float32."""

    frequency: "np.ndarray"
    amplitude: "np.ndarray"
    phase: "np.ndarray"


class ContourImages(NamedTuple):
    """``images`` uint8 (B, S, S, 3); ``labels`` int64 (B,), the category; ``placement`` float32 (B, 5), where it is.

    Placement: centre x and y and largest radius, from -1 to 1 each; cosine and sine of twice the angle of the long
    axis, which half a turn does not change.
    """

    images: "np.ndarray"
    labels: "np.ndarray"
    placement: "np.ndarray"


def contours(count: int, seed: int) -> Contours:
    """``count`` categories from ``seed``; a larger count only extends them."""
    import numpy as np

    frequency = np.zeros((count, WAVES), np.int64)
    amplitude = np.zeros((count, WAVES), np.float32)
    phase = np.zeros((count, WAVES), np.float32)
    for category in range(count):
        rng = np.random.default_rng((seed, category))
        frequency[category] = rng.choice(FREQUENCIES, size=WAVES, replace=False)
        amplitude[category] = rng.uniform(*AMPLITUDE, size=WAVES)
        phase[category] = rng.uniform(0, 2 * np.pi, size=WAVES)
    return Contours(frequency, amplitude, phase)


def draw_contours(
    kinds: Contours, labels: "np.ndarray", rng: "np.random.Generator", side: int = IMAGE_SIZE
) -> ContourImages:
    """One image for each label; all else comes from ``rng``."""
    import numpy as np

    count = len(labels)
    size = rng.uniform(*SIZE, size=count)
    centre = rng.uniform(-1, 1, size=(count, 2)) * (1 - size)[:, None]
    angle = rng.uniform(-np.pi, np.pi, size=count)
    across, along = _coordinates(centre, angle, side)
    across /= rng.uniform(*NARROW, size=(count, 1, 1)).astype(np.float32)
    inwards = _inwards(kinds, labels, size, along, across, rng)
    images = _paint(_opacity(inwards, rng), rng)
    relative = (size - np.mean(SIZE)) / (SIZE[1] - SIZE[0]) * 2
    place = np.column_stack((centre, relative, np.cos(2 * angle), np.sin(2 * angle))).astype(np.float32)
    return ContourImages(images, np.asarray(labels, np.int64), place)


def _coordinates(centre: "np.ndarray", angle: "np.ndarray", side: int) -> "tuple[np.ndarray, np.ndarray]":
    """Each pixel's place across and along the long axis of its curve, from the centre, float32 (B, S, S) each."""
    import numpy as np

    grid = ((np.arange(side) + 0.5) * (2 / side) - 1).astype(np.float32)
    right = grid[None, None, :] - centre[:, 0, None, None].astype(np.float32)
    down = grid[None, :, None] - centre[:, 1, None, None].astype(np.float32)
    cos = np.cos(angle).astype(np.float32)[:, None, None]
    sin = np.sin(angle).astype(np.float32)[:, None, None]
    return cos * down - sin * right, cos * right + sin * down


def _inwards(
    kinds: Contours,
    labels: "np.ndarray",
    size: "np.ndarray",
    along: "np.ndarray",
    across: "np.ndarray",
    rng: "np.random.Generator",
) -> "np.ndarray":
    """How many pixels inside of the curve each pixel lies along its radius, float32 (B, S, S); negative outside."""
    import numpy as np

    count, side, _ = along.shape
    direction = np.arctan2(across, along)
    amplitude = kinds.amplitude[labels] * rng.uniform(1 - JITTER, 1 + JITTER, size=(count, WAVES)).astype(np.float32)
    radius = np.ones_like(direction)
    for wave in range(WAVES):
        turns = kinds.frequency[labels, wave, None, None].astype(np.float32)
        shift = kinds.phase[labels, wave, None, None]
        radius += amplitude[:, wave, None, None] * np.cos(turns * direction + shift)
    radius *= (size / (1 + amplitude.sum(1)))[:, None, None].astype(np.float32)
    return (radius - np.hypot(along, across)) * (side / 2)


def _opacity(inwards: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """(B, S, S) from 0 to 1, with edges about a pixel wide: every second curve, at random, is only an outline."""
    import numpy as np

    count = len(inwards)
    half_width = rng.uniform(*OUTLINE, size=(count, 1, 1)).astype(np.float32)
    outline = half_width - np.abs(inwards)
    filled = rng.random((count, 1, 1)) < 0.5
    return (np.where(filled, inwards, outline) + 0.5).clip(0, 1)


def _paint(opacity: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """uint8 (B, S, S, 3): bright on dark or dark on bright, half of the images grey, on a wave, with noise."""
    import numpy as np

    count, side, _ = opacity.shape
    dark = rng.uniform(0, 0.4, size=(count, 3))
    bright = rng.uniform(0.6, 1, size=(count, 3))
    grey = rng.random((count, 1)) < 0.5
    dark = np.where(grey, dark[:, :1], dark)
    bright = np.where(grey, bright[:, :1], bright)
    swapped = rng.random((count, 1)) < 0.5
    ground = np.where(swapped, bright, dark)[:, None, None].astype(np.float32)
    figure = np.where(swapped, dark, bright)[:, None, None].astype(np.float32)
    pixels = ground + _gratings(count, side, rng)[..., None]
    pixels = pixels + (figure - pixels) * opacity[..., None]
    noise = rng.standard_normal((count, side, side, 1), np.float32)
    noise *= rng.uniform(0, NOISE, size=(count, 1, 1, 1)).astype(np.float32)
    return ((pixels + noise).clip(0, 1) * 255).round().astype(np.uint8)


def _gratings(count: int, side: int, rng: "np.random.Generator") -> "np.ndarray":
    """A plane wave for each background, float32 (B, S, S)."""
    import numpy as np

    wave = rng.uniform(-12, 12, size=(count, 2)).astype(np.float32)  # radians across half of the image
    phase = rng.uniform(0, 2 * np.pi, size=(count, 1, 1)).astype(np.float32)
    strength = rng.uniform(0, GRATING, size=(count, 1, 1)).astype(np.float32)
    grid = np.linspace(-1, 1, side, dtype=np.float32)
    across = wave[:, 0, None, None] * grid[None, None, :]
    down = wave[:, 1, None, None] * grid[None, :, None]
    return strength * np.cos(across + down + phase)
