"""Draw cut-out photographs on textured grounds, the same to the bit on every processor.

All arithmetic on pixels is of whole numbers: Pillow's resizing works so on bytes, and the rest is numpy's integers.
Real numbers only place things, and are rounded before they meet a pixel.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Shapes: S side of the scene, H and W of a cut-out, D side of the square that holds it when it is turned.

TURN = 1 << 16
"""One, for the sine and cosine of a turn."""
OCTAVES = ((2, 8), (4, 6), (8, 4), (16, 3), (32, 2), (64, 1))
"""Grid and weight of the layers of a texture: strong where they are coarse, as in photographs."""
SHADOW = 5
"""Eighths of the light that a shadow leaves."""


def ground(rng: "np.random.Generator", side: int) -> "np.ndarray":
    """A textured surface, in two of three cases with another one behind a horizon, uint8 (S, S, 3)."""
    import numpy as np

    near = _surface(rng, side)
    far = _surface(rng, side)
    horizon = round(side * rng.uniform(0.2, 0.6))
    if rng.random() < 1 / 3:
        horizon = 0
    edge = _texture(rng, side, 1)[side // 2].astype(np.int64) * side // 2048  # an eighth of the side at most
    rows = np.arange(side)[:, None]
    return np.where((rows < horizon + edge)[..., None] & (horizon > 0), far, near)


def paste(canvas: "np.ndarray", sprite: "np.ndarray", centre: tuple[float, float], rng: "np.random.Generator") -> None:
    """Lay a cut-out on the canvas (S, S, 3) with a light of its own and a soft shadow; what stands out is cut off.

    Args:
        canvas: is changed.
        sprite: (D, D, 4), uint8.
        centre: its x and y on the canvas, from 0 to 1.
        rng: gives light and shadow.
    """
    import numpy as np

    side = len(canvas)
    lit = _lit(sprite, rng)
    left, top = (round(place * side - len(sprite) / 2) for place in centre)
    shift = round(len(sprite) * rng.uniform(0.03, 0.1))
    opacity = sprite[..., 3].astype(np.int64)
    shadow = _blend(canvas, np.zeros(3, np.int64), _soft(opacity, shift) * SHADOW // 8, (left + shift, top + shift))
    canvas[:] = _blend(shadow, lit, opacity, (left, top))


def turned(pixels: "np.ndarray", longest: int, degrees: float) -> "np.ndarray":
    """A cut-out (H, W, 4) made `longest` pixels long and turned about its middle, uint8 (D, D, 4)."""
    import numpy as np
    from PIL import Image

    height, width, _ = pixels.shape
    size = (max(1, round(width * longest / max(height, width))), max(1, round(height * longest / max(height, width))))
    small = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BILINEAR)).astype(
        np.int64
    )
    if degrees == 0:
        return _square(small)
    cosine, sine = (round(value(math.radians(degrees)) * TURN) for value in (math.cos, math.sin))
    full = math.ceil(math.hypot(*size))
    axis = np.arange(full) * 2 - full + 1  # twice the way from the middle
    across = cosine * axis[None, :] + sine * axis[:, None] + TURN * (size[0] - 1)
    down = cosine * axis[:, None] - sine * axis[None, :] + TURN * (size[1] - 1)
    return _sampled(small, across, down)


def finished(canvas: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """The scene as a camera would have it: in the colour of its light, at times out of focus, with noise."""
    import numpy as np
    from PIL import Image, ImageFilter

    if rng.random() < 0.3:
        canvas = np.asarray(Image.fromarray(canvas).filter(ImageFilter.BoxBlur(max(1, len(canvas) // 128))))
    light = rng.integers(200, 300, size=3)
    grain = rng.integers(1, 9)
    noise = rng.integers(-grain, grain + 1, size=canvas.shape)
    return (canvas.astype(np.int64) * light // 256 + noise).clip(0, 255).astype(np.uint8)


def _surface(rng: "np.random.Generator", side: int) -> "np.ndarray":
    """Two colours, mixed by a texture that may be drawn out along one direction."""
    import numpy as np

    stretch = int(rng.choice((1, 1, 3, 8)))
    mixture = _texture(rng, side, stretch).astype(np.int64)[..., None]
    if rng.random() < 0.5:
        mixture = mixture.swapaxes(0, 1)
    base = rng.integers(30, 226)
    first = (base + rng.integers(-40, 41, size=3)).clip(0, 255)
    second = (base + rng.integers(-90, 91) + rng.integers(-40, 41, size=3)).clip(0, 255)
    return ((first * (255 - mixture) + second * mixture) // 255).astype(np.uint8)


def _texture(rng: "np.random.Generator", side: int, stretch: int) -> "np.ndarray":
    """Noise of several grains, uint8 (S, S), from 0 to 255."""
    import numpy as np
    from PIL import Image

    total = np.zeros((side, side), np.int64)
    for cells, weight in OCTAVES:
        grid = rng.integers(0, 256, size=(cells, max(2, cells // stretch)), dtype=np.uint8)
        total += weight * np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC))
    total -= total.min()
    return (total * 255 // max(1, total.max())).astype(np.uint8)


def _lit(sprite: "np.ndarray", rng: "np.random.Generator") -> "np.ndarray":
    """Colours of a cut-out (D, D, 3) under a light that falls off across it."""
    import numpy as np

    bright = rng.integers(220, 330)
    dark = rng.integers(130, 220)
    ramp = dark + (bright - dark) * np.arange(len(sprite)) // len(sprite)
    if rng.random() < 0.5:
        ramp = ramp[::-1]
    across = ramp[None, :, None]
    if rng.random() < 0.5:
        across = ramp[:, None, None]
    return (sprite[..., :3].astype(np.int64) * across // 256).clip(0, 255)


def _soft(opacity: "np.ndarray", radius: int) -> "np.ndarray":
    import numpy as np
    from PIL import Image, ImageFilter

    mask = Image.fromarray(opacity.astype(np.uint8)).filter(ImageFilter.BoxBlur(max(1, radius)))
    return np.asarray(mask).astype(np.int64)


def _blend(canvas: "np.ndarray", colours: "np.ndarray", opacity: "np.ndarray", corner: tuple[int, int]) -> "np.ndarray":
    """The canvas with colours (D, D, 3) over it, by an opacity (D, D) from 0 to 255, from a corner (x, y) on."""
    import numpy as np

    side = len(canvas)
    left, top = corner
    rows = slice(max(0, top), min(side, top + len(opacity)))
    columns = slice(max(0, left), min(side, left + len(opacity)))
    inside = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    cover = opacity[inside][..., None]
    over = np.broadcast_to(colours, (*opacity.shape, 3))[inside]
    result = canvas.copy()
    result[rows, columns] = (canvas[rows, columns].astype(np.int64) * (255 - cover) + over * cover) // 255
    return result


def _square(pixels: "np.ndarray") -> "np.ndarray":
    """In the middle of a square that holds it, uint8."""
    import numpy as np

    height, width, _ = pixels.shape
    full = max(height, width)
    square = np.zeros((full, full, 4), np.uint8)
    top, left = (full - height) // 2, (full - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def _sampled(pixels: "np.ndarray", across: "np.ndarray", down: "np.ndarray") -> "np.ndarray":
    """Between four pixels each, weighed by their opacity; places are in halves of a pixel, times `TURN`."""
    import numpy as np

    height, width, _ = pixels.shape
    padded = np.zeros((height + 2, width + 2, 4), np.int64)
    padded[1:-1, 1:-1] = pixels
    padded[..., :3] *= padded[..., 3:]
    x, y = across >> 17, down >> 17  # 2 TURN is a pixel
    right, below = (across >> 9) & 255, (down >> 9) & 255
    total = np.zeros((*across.shape, 4), np.int64)
    for dy, weight_y in ((0, 256 - below), (1, below)):
        for dx, weight_x in ((0, 256 - right), (1, right)):
            row, column = (y + dy + 1).clip(0, height + 1), (x + dx + 1).clip(0, width + 1)
            total += padded[row, column] * (weight_x * weight_y)[..., None]
    opacity = np.maximum(total[..., 3:], 1)
    colours = total[..., :3] // opacity
    return np.concatenate((colours, total[..., 3:] >> 16), axis=-1).astype(np.uint8)
