"""The split that every image set here gives, and the fixed draw that makes it."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Images(NamedTuple):
    """``images`` uint8 (N, H, W, 3), grey ones tiled to three channels as in VTAB; ``labels`` int64 (N,)."""

    images: "np.ndarray"
    labels: "np.ndarray"


class VisionSplits(NamedTuple):
    """Training, validation and test part; no image is in two of them."""

    train: Images
    val: Images
    test: Images


def draw(size: int, seed: int, *counts: int) -> "list[np.ndarray]":
    """Disjoint index arrays from the one permutation of `range(size)` that a seed fixes.

    A larger first part only extends it: its first indices stay the same.

    Args:
        size: images there are.
        seed: of the permutation.
        counts: length of each array.

    Returns:
        The arrays.

    Raises:
        ValueError: there are too few.
    """
    import numpy as np

    if sum(counts) > size:
        raise ValueError(f"{' + '.join(map(str, counts))} images are asked for, but there are {size}")
    order = np.random.default_rng(seed).permutation(size)
    return np.split(order[: sum(counts)], np.cumsum(counts)[:-1])


def rgb(grey: "np.ndarray") -> "np.ndarray":
    """(N, H, W) uint8 -> (N, H, W, 3)."""
    import numpy as np

    return np.repeat(grey[..., None], 3, axis=-1)
