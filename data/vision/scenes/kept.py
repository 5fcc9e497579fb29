"""Drawn images that are kept in the cache: a set takes about a minute of one core to draw."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...derived import derive, made_from, tell

if TYPE_CHECKING:
    import numpy as np

SIZES = (800, 200, 2000)
"""Images of the three parts that are kept."""
FILE = "part{}.npz"

Arrays = Mapping[str, "np.ndarray"]
"""Images and factors by name, each with one row an image."""


def kept(source: str, code: tuple[str, ...], render: Callable[[int, int], Arrays], part: int, count: int) -> Arrays:
    """The first ``count`` images of a part of a set, drawn by ``render(part, count)`` if they are not in the cache.

    ``code`` names the files of this folder that draw them: with other code, they are drawn again. Raises ValueError
    for more than are kept.
    """
    import numpy as np

    if not 0 <= count <= SIZES[part]:
        raise ValueError(f"{count} images are asked for, but part {part} of {source} has {SIZES[part]}")
    here = Path(__file__).parent
    form = f"drawn-{made_from([here / name for name in code], [source])}"

    def fill(partial: Path) -> None:
        for number, size in enumerate(SIZES):
            tell(f"{source}: drawing {size} images, part {number + 1} of {len(SIZES)}")
            arrays = dict(render(number, size))
            np.savez_compressed(partial / FILE.format(number), **arrays)  # pyright: ignore[reportArgumentType]

    folder = derive(source, form, fill)
    with np.load(folder / FILE.format(part), allow_pickle=False) as arrays:
        return {name: arrays[name][:count] for name in arrays.files}
