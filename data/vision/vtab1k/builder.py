"""Writes the community layout from raw examples: those of TFDS or of a data set of the hub, or a copy that is there.

    from sparsebench.data.vision.vtab1k.builder import build_task

    splits = {name: list(tfds.load("clevr", split=name)) for name in ("train", "validation")}
    build_task("clevr_count", splits, "vtab-1k")

Images become JPEG of PIL's default quality, as in the folders that are passed on (NOAH's `get_vtab1k.py`); that costs
CIFAR-100 some points against the raw images. Beside the lists lies SHA256SUMS, which the reader verifies.
"""

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import LocalFolderError, UnknownSource
from ...manifest import near
from .checks import check_images
from .checksums import write_sums
from .images import ImageList
from .label_rules import Example, label_of
from .layout import VtabTask, vtab1k
from .pixels import rgb_of
from .tasks import CLASSES, PARTS, TEST_SIZES

TRAIN, VAL = 800, 200


class Place(NamedTuple):
    """Rows of a part: from number ``start`` of a split of TFDS on, in its own order (files not shuffled)."""

    split: str
    start: int = 0


class Places(NamedTuple):
    """Where the validation part and the test part of a task begin; training rows are the first 800 of `train`."""

    val: Place
    test: Place


_OWN = Places(Place("validation"), Place("test"))
_DSPRITES = Places(Place("train", 589_824), Place("train", 663_552))
_NORB = Places(Place("test"), Place("test", 12_150))
_CLEVR = Places(Place("train", 63_000), Place("validation"))

PLACES: Mapping[str, Places] = {
    "cifar": Places(Place("train", 45_000), Place("test")),
    "caltech101": Places(Place("train", 2_754), Place("test")),
    "dtd": _OWN,
    "oxford_flowers102": _OWN,
    "oxford_iiit_pet": Places(Place("train", 2_944), Place("test")),
    "svhn": Places(Place("train", 65_931), Place("test")),
    "sun397": _OWN,
    "patch_camelyon": _OWN,
    "eurosat": Places(Place("train", 16_200), Place("train", 21_600)),
    "resisc45": Places(Place("train", 18_900), Place("train", 25_200)),
    "diabetic_retinopathy": _OWN,
    "clevr_count": _CLEVR,
    "clevr_dist": _CLEVR,
    "dmlab": _OWN,
    "kitti": _OWN,
    "dsprites_loc": _DSPRITES,
    "dsprites_ori": _DSPRITES,
    "smallnorb_azi": _NORB,
    "smallnorb_ele": _NORB,
}
"""Where each set lies, as in `task_adaptation/data/*.py`. SmallNORB validates and tests on objects that training has
not seen.
"""

Splits = Mapping[str, Sequence[Example]]
"""Splits of TFDS or of the hub by name: sequences of mappings with `image` and what the label is made of."""


def build_task(task: str, splits: Splits, root: Path | str) -> VtabTask:
    """Write `<root>/<task>` from the splits of its data set, and read and check it.

    An image is uint8 (H, W), (H, W, 1) or (H, W, 3), a PIL image, or the bytes of a file; grey ones are tiled to three
    channels, and the sprites of dSprites, whose values are 0 and 1, are scaled. Nothing is left behind where something
    is wrong. Raises `LocalFolderError`, and `UnknownSource` for an unknown task.
    """
    if task not in CLASSES:
        raise UnknownSource(f"unknown VTAB-1K task {task!r}{near(task, CLASSES)}")
    folder = Path(root) / task
    if folder.exists():
        raise LocalFolderError(f"{folder} is there already: remove it, or write to another folder")
    partial = Path(root) / f".{task}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    try:
        _write_parts(task, splits, partial / task)
        check_images(seal_task(task, partial))
        (partial / task).rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return vtab1k(task, root)


def seal_task(task: str, root: Path | str) -> list[ImageList]:
    """Check a copy that is there (of the hub, say), and write its SHA256SUMS; gives its four parts.

    Raises `LocalFolderError`.
    """
    found = vtab1k(task, root)
    parts = [getattr(found, name) for name in PARTS]
    files = [part.listing for part in parts]
    for part in parts:
        files += part.files
    write_sums(Path(root) / task, files)
    return parts


Source = tuple[Sequence[Example], int]
"""A split and the number of one of its rows, which is read when it is written: test parts are large."""


def rows_of(task: str, splits: Splits) -> dict[str, list[Source]]:
    """The rows of the four parts. Raises `LocalFolderError` for a split that is missing or too short."""
    places = PLACES[task]
    train = _slice(task, splits, Place("train"), TRAIN)
    val = _slice(task, splits, places.val, VAL)
    test = _slice(task, splits, places.test, TEST_SIZES[task])
    return {"train800": train, "val200": val, "train800val200": [*train, *val], "test": test}


def _slice(task: str, splits: Splits, place: Place, count: int) -> list[Source]:
    if place.split not in splits:
        raise LocalFolderError(f"{task} needs the split {place.split!r}, but there is {', '.join(splits) or 'none'}")
    split = splits[place.split]
    stop = place.start + count
    if len(split) < stop:
        raise LocalFolderError(f"{task} needs {stop} rows of the split {place.split!r}, but it has {len(split)}")
    return [(split, number) for number in range(place.start, stop)]


def _write_parts(task: str, splits: Splits, folder: Path) -> None:
    for part, rows in rows_of(task, splits).items():
        below = folder / "images" / part
        below.mkdir(parents=True)
        lines = []
        for number, (split, row) in enumerate(rows):
            name = f"{number:06d}.jpg"
            label = _write_one(task, split[row], below / name, f"{task}, {part}, row {number}")
            lines.append(f"images/{part}/{name} {label}\n")
        (folder / f"{part}.txt").write_text("".join(lines), encoding="utf-8")


def _write_one(task: str, example: Example, file: Path, where: str) -> int:
    """Write the image; gives the label."""
    scale = 255 if task.startswith("dsprites") else 1
    try:
        label = label_of(task, example)
        file.write_bytes(jpeg(example["image"], scale))
    except KeyError as error:
        raise LocalFolderError(f"{where}: there is no {error}") from None
    except LocalFolderError as error:
        raise LocalFolderError(f"{where}: {error}") from None
    return label


def jpeg(image: Any, scale: int = 1) -> bytes:
    """The image as JPEG of PIL's default quality. ``scale`` multiplies an array of values 0 and 1."""
    from PIL import Image

    buffer = io.BytesIO()
    if isinstance(image, bytes):
        image = Image.open(io.BytesIO(image))
    if not isinstance(image, Image.Image):
        image = Image.fromarray(_pixels(image, scale))
    rgb_of(image).save(buffer, "JPEG")
    return buffer.getvalue()


def _pixels(image: Any, scale: int) -> Any:
    """uint8 (H, W) or (H, W, 3)."""
    import numpy as np

    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3):
        found = f"{pixels.dtype} {pixels.shape}"
        raise LocalFolderError(f"an image must be uint8 (H, W), (H, W, 1) or (H, W, 3), not {found}")
    if scale != 1 and pixels.max(initial=0) <= 1:
        pixels = pixels * np.uint8(scale)
    return pixels
