"""Reader of VTAB-1K (Zhai et al., 2019) in the folder layout that the community passes on.

    <root>/<task>/{train800,val200,train800val200,test}.txt       lines "images/train800/000000.jpg 307"
    <root>/<task>/images/{train800,val200,train800val200,test}/000000.jpg ...

The protocol: choose on train800 -> val200, then train on train800val200 and report top-1 on the whole test part.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LocalFolderError, UnknownSource
from ..local_folders import note_unpinned
from ..manifest import near
from ..sources import ensure

if TYPE_CHECKING:
    import numpy as np

SOURCE = "vtab-1k"
PARTS = ("train800", "val200", "train800val200", "test")

GROUPS = {
    "natural": ("cifar", "caltech101", "dtd", "oxford_flowers102", "oxford_iiit_pet", "svhn", "sun397"),
    "specialized": ("patch_camelyon", "eurosat", "resisc45", "diabetic_retinopathy"),
    "structured": (
        *("clevr_count", "clevr_dist", "dmlab", "kitti"),
        *("dsprites_loc", "dsprites_ori", "smallnorb_azi", "smallnorb_ele"),
    ),
}

CLASSES = {
    **{"cifar": 100, "caltech101": 102, "dtd": 47, "oxford_flowers102": 102, "oxford_iiit_pet": 37},
    **{"svhn": 10, "sun397": 397, "patch_camelyon": 2, "eurosat": 10, "resisc45": 45, "diabetic_retinopathy": 5},
    **{"clevr_count": 8, "clevr_dist": 6, "dmlab": 6, "kitti": 4},
    **{"dsprites_loc": 16, "dsprites_ori": 16, "smallnorb_azi": 18, "smallnorb_ele": 9},
}


@dataclass(frozen=True, kw_only=True)
class ImageList:
    """A map-style data set: item i is an RGB image, uint8 (H, W, 3) of its own size, and its class.

    ``files`` lie below ``root``, and each that is opened is noted with its digest: nobody has published any.
    """

    root: Path

    files: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> "tuple[np.ndarray, int]":
        import numpy as np
        from PIL import Image

        note_unpinned(SOURCE, self.root, self.files[index])
        with Image.open(self.files[index]) as image:
            return np.asarray(image.convert("RGB")), self.labels[index]


@dataclass(frozen=True, kw_only=True)
class VtabTask:
    """The four parts of one task; ``train800val200`` holds the images of the first two together."""

    name: str
    classes: int
    train800: ImageList
    val200: ImageList
    train800val200: ImageList
    test: ImageList


def vtab1k(task: str, root: Path | str | None = None) -> VtabTask:
    """Read the lists of one of the nineteen tasks; images are opened as they are asked for.

    ``root`` defaults to the folder named by ``SPARSEBENCH_VTAB1K``. Raises `UnknownSource` for an unknown task and
    `LocalFolderError` for a missing list, a malformed line or a listed image that is not there.
    """
    if task not in CLASSES:
        raise UnknownSource(f"unknown VTAB-1K task {task!r}{near(task, CLASSES)}")
    place = ensure(SOURCE, root)
    parts = {part: _read_list(place, task, part) for part in PARTS}
    return VtabTask(name=task, classes=CLASSES[task], **parts)


def _read_list(root: Path, task: str, part: str) -> ImageList:
    folder = root / task
    classes = CLASSES[task]
    listing = folder / f"{part}.txt"
    if not listing.is_file():
        raise LocalFolderError(f"{listing} is missing; expected <root>/<task>/{part}.txt next to images/")
    note_unpinned(SOURCE, root, listing)
    files = []
    labels = []
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, label = line.rpartition(" ")
        if not name or not label.isdecimal() or int(label) >= classes:
            raise LocalFolderError(f"{listing}, line {number}: {line!r} is not 'path label' with label < {classes}")
        files.append(folder / name)
        labels.append(int(label))
    _check_images(listing, files)
    return ImageList(root=root, files=tuple(files), labels=tuple(labels))


def _check_images(listing: Path, files: list[Path]) -> None:
    """Raise if one is missing. Folders are read once: thousands of look-ups of single files are slow on some disks."""
    present: set[Path] = set()
    for folder in {file.parent for file in files}:
        present.update(folder.glob("*"))
    missing = [file for file in files if file not in present]
    if missing:
        raise LocalFolderError(f"{listing}: {len(missing)} of {len(files)} images are missing, first {missing[0]}")
