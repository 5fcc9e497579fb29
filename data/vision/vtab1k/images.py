"""Images of a user's folder, opened when they are asked for."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import LocalFolderError, reason_of
from ...local_folders import note_unpinned
from .pixels import rgb_of

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class ImageList:
    """A map-style data set: item i is an RGB image, uint8 (H, W, 3) of its own size, and its class.

    ``upright``: images are turned as their EXIF orientation says.

    ``files`` lie below ``root``, the folder of ``source``, and each that is opened is noted with its digest: nobody has
    published any. ``listing`` is the file that names them.
    """

    source: str
    root: Path
    listing: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    upright: bool = False

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> "tuple[np.ndarray, int]":
        """Raises `LocalFolderError`, which names the file, for one that is no readable image."""
        pixels = read_rgb(self.files[index], upright=self.upright)
        note_unpinned(self.source, self.root, self.files[index])
        return pixels, self.labels[index]


def read_rgb(file: Path, *, upright: bool = False) -> "np.ndarray":
    """The whole image as uint8 (H, W, 3), by `rgb_of`. Raises `LocalFolderError`, which names the file."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.format == "TIFF":
                # Pillow maps an uncompressed TIFF into memory by its name, with the sides that it has once it is
                # turned: the rows of one that is to be turned by 90 degrees would be cut at the wrong places.
                image.filename = ""
            return np.asarray(rgb_of(image, upright=upright))
    except LocalFolderError as error:
        raise LocalFolderError(f"{file} is no image that can be read as 8-bit RGB: {error}") from None
    # What PIL raises for broken files: UnidentifiedImageError and cut files are OSError, broken chunks SyntaxError.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        reason = reason_of(error)
        raise LocalFolderError(f"{file} is no readable image ({reason}): copy it again") from None
