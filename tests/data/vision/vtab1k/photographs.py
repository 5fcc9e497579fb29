"""A folder of real photographs in the layout of VTAB-1K, as a user's folder would be: which way up is a crop?

    python tests/data/vision/vtab1k/photographs.py my_photos

The three photographs come with scikit-learn and matplotlib. Each crop is turned by 0 to 3 quarters, which is its class,
at a random size and brightness. The parts are cut from different columns of the photographs, so that no pixel is in two
of them. It is no part of VTAB-1K, and its scores say little: what matters is that files, sizes and lists are real.
"""

import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

PHOTOGRAPHS = (
    ("sklearn.datasets", "images/china.jpg"),
    ("sklearn.datasets", "images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
COLUMNS = {"train800": (0.0, 0.55), "val200": (0.55, 0.75), "test": (0.75, 1.0)}
"""From where to where each part is cut, as fractions of the width."""
ROWS = {"train800": 800, "val200": 200, "test": 1000}
TURNS = 4
SMALLEST = 64
"""Pixels of the side of a crop, as it is stored."""
BRIGHTNESS = (0.7, 1.3)


def write_photographs(folder: Path, rows: Mapping[str, int] = ROWS, seed: int = 0) -> Path:
    """Write images and lists below `folder`; gives `folder`."""
    generator = np.random.default_rng(seed)
    photographs = [Image.open(files(package) / path).convert("RGB") for package, path in PHOTOGRAPHS]  # type: ignore[arg-type]
    lines = {part: _write_part(folder, part, count, photographs, generator) for part, count in rows.items()}
    lines["train800val200"] = lines["train800"] + lines["val200"]
    for part, texts in lines.items():
        (folder / f"{part}.txt").write_text("".join(texts), encoding="utf-8")
    return folder


def _write_part(
    folder: Path, part: str, count: int, photographs: list[Image.Image], generator: np.random.Generator
) -> list[str]:
    """The lines of its list; classes and photographs take turns."""
    below = folder / "images" / part
    below.mkdir(parents=True)
    lines = []
    for number in range(count):
        label = number % TURNS
        photograph = photographs[number // TURNS % len(photographs)]
        crop = _crop(photograph, *COLUMNS[part], generator)
        crop = ImageEnhance.Brightness(crop).enhance(generator.uniform(*BRIGHTNESS))
        name = f"images/{part}/{number:06d}.jpg"
        crop.rotate(90 * label).save(folder / name, quality=90)
        lines.append(f"{name} {label}\n")
    return lines


def _crop(photograph: Image.Image, start: float, stop: float, generator: np.random.Generator) -> Image.Image:
    """A random square that lies between two columns."""
    left = round(start * photograph.width)
    right = round(stop * photograph.width)
    side = int(generator.integers(SMALLEST, right - left))
    x = int(generator.integers(left, right - side + 1))
    y = int(generator.integers(0, photograph.height - side + 1))
    return photograph.crop((x, y, x + side, y + side))


if __name__ == "__main__":
    write_photographs(Path(sys.argv[1]))
