"""The one resize of images here: to a square of a fixed size, whatever the image's aspect ratio."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


def resized(images: "np.ndarray", size: int, interpolation: str) -> "Tensor":
    """Images at one size, with antialiasing, rounded to uint8; a grey image fills all three channels.

    Args:
        images: uint8, (N, H, W) or (N, H, W, C) with one channel or three.
        size: pixels of a side.
        interpolation: "bilinear" or "bicubic".

    Returns:
        uint8, (N, 3, size, size).

    Raises:
        TypeError: images of another type.
    """
    import numpy as np
    import torch
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    if images.dtype != np.uint8:
        raise TypeError(f"images must be uint8, not {images.dtype}")
    pixels = torch.from_numpy(np.require(images, requirements=("C", "W")))
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(-1)
    pixels = pixels.expand(*pixels.shape[:3], 3).permute(0, 3, 1, 2)
    return resize(pixels, [size, size], InterpolationMode(interpolation), antialias=True)
