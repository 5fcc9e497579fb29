"""Reader of VTAB-1K in the folder layout that the community passes on.

    <root>/<task>/{train800,val200,train800val200,test}.txt       lines "images/train800/000000.jpg 307"
    <root>/<task>/images/{train800,val200,train800val200,test}/000000.jpg ...

The protocol: choose on train800 -> val200, then train on train800val200 and report top-1 on the whole test part.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import LocalFolderError, UnknownSource
from ...identity import identity
from ...labelled.dealt import Rejected
from ...local_folders import note_unpinned
from ...manifest import near
from ...sources import ensure
from . import checks
from .checksums import check_sums, read_sums
from .class_folders import class_folders
from .images import ImageList
from .tasks import CLASSES, PARTS, SPARSE, TWINS, sizes

SOURCE = "vtab-1k"
OWN_IMAGES = "own-images"


@dataclass(frozen=True, kw_only=True)
class VtabTask:
    """The four parts of one task; ``train800val200`` holds the images of the first two together."""

    name: str
    classes: int
    train800: ImageList
    val200: ImageList
    train800val200: ImageList
    test: ImageList
    names: tuple[str, ...] = ()
    """Of the classes, where the user's folders name them."""
    rejected: tuple[Rejected, ...] = ()
    """Files of class folders that are in no part."""


def vtab1k(task: str, root: Path | str | None = None) -> VtabTask:
    """Read the lists of one of the nineteen tasks, and check them; images are opened as they are asked for.

    ``root`` defaults to the folder named by ``SPARSEBENCH_VTAB1K``. Raises `UnknownSource` for an unknown task and
    `LocalFolderError` for whatever in the folder is not VTAB-1K: a missing list, a malformed line, a listed image that
    is not there, and all that `checks.py` looks at. Where the folder has SHA256SUMS, the lists must have these sums
    (`ChecksumError`). That each image can be read, and has its sum, is checked by `check_images`.
    """
    if task not in CLASSES:
        raise UnknownSource(f"unknown VTAB-1K task {task!r}{near(task, CLASSES)}")
    place = ensure(SOURCE, root)
    classes = CLASSES[task]
    parts = {part: read_list(SOURCE, place, place / task, part, classes) for part in PARTS}
    check_sums(read_sums(place / task), [part.listing for part in parts.values()])
    checks.check_sizes(parts, sizes(task))
    checks.check_parts(parts, twins=task in TWINS)
    checks.check_classes(parts["test"], classes)
    if task not in SPARSE:
        checks.check_classes(parts["train800val200"], classes)
        checks.say_absent_classes(parts["train800"], classes)
    return _task(task, classes, parts)


def own_images(root: Path | str | None = None) -> VtabTask:
    """Read and check images of the user's in this layout, with any number of rows and classes, or in class folders.

    ``root``, which holds the lists or the class folders (`class_folders.py`) itself, defaults to the folder named by
    ``SPARSEBENCH_OWN_IMAGES``. In lists, classes go from 0 to the largest label, and each must be in train800. Images
    are turned as their EXIF orientation says. Raises as `vtab1k`, for a test image that is a training image by content,
    and `TableError` for class folders that cannot be learnt from.
    """
    place = ensure(OWN_IMAGES, root)
    if not any((place / f"{part}.txt").exists() for part in PARTS):
        below = sorted(place.glob(f"*/{PARTS[0]}.txt"))
        if below:
            raise LocalFolderError(f"{place / below[0].name} is missing; there is {below[0]}: name {below[0].parent}")
        found = class_folders(OWN_IMAGES, place, identity(OWN_IMAGES) if root is None else None)
        return _task(place.name, len(found.names), found.parts, found.names, found.rejected)
    parts = {part: read_list(OWN_IMAGES, place, place, part, upright=True) for part in PARTS}
    check_sums(read_sums(place), [part.listing for part in parts.values()])
    for part in parts.values():
        if not len(part):
            raise LocalFolderError(f"{part.listing} has no row")
    checks.check_parts(parts)
    checks.check_test_apart(parts)
    classes = checks.classes_of(parts)
    checks.check_classes(parts["train800"], classes)
    return _task(place.name, classes, parts)


def _task(
    name: str,
    classes: int,
    parts: Mapping[str, ImageList],
    names: tuple[str, ...] = (),
    rejected: tuple[Rejected, ...] = (),
) -> VtabTask:
    train, val, both, test = (parts[part] for part in PARTS)
    return VtabTask(
        name=name,
        classes=classes,
        train800=train,
        val200=val,
        train800val200=both,
        test=test,
        names=names,
        rejected=rejected,
    )


def read_list(
    source: str, root: Path, folder: Path, part: str, classes: int | None = None, *, upright: bool = False
) -> ImageList:
    """One list of the layout; with ``classes``, labels must be below that number. Raises `LocalFolderError`."""
    listing = folder / f"{part}.txt"
    if not listing.is_file():
        place = "<root>/" if folder == root else "<root>/<task>/"
        raise LocalFolderError(f"{listing} is missing; expected {place}{part}.txt next to images/")
    note_unpinned(source, root, listing)
    files = []
    labels = []
    for number, line in enumerate(_lines(listing), start=1):
        name, _, label = line.rpartition(" ")
        if not name or not (label.isascii() and label.isdecimal()) or (classes is not None and int(label) >= classes):
            bound = "" if classes is None else f" with label < {classes}"
            raise LocalFolderError(f"{listing}, line {number}: {line!r} is not 'path label'{bound}")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise LocalFolderError(f"{listing}, line {number}: {name!r} does not lie in {folder}")
        files.append(folder / path)
        labels.append(int(label))
    check_present(listing, files, root)
    return ImageList(
        source=source, root=root, listing=listing, files=tuple(files), labels=tuple(labels), upright=upright
    )


def _lines(listing: Path) -> list[str]:
    try:
        return listing.read_text(encoding="utf-8-sig").splitlines()  # some editors write a mark at the start
    except UnicodeDecodeError as error:
        raise LocalFolderError(f"{listing} is no text in UTF-8: {error.reason} at byte {error.start}") from None


def check_present(listing: Path, files: Sequence[Path], root: Path) -> None:
    """Raises `LocalFolderError` for a file that is missing, is no plain file, or lies outside of ``root`` by a link.

    Folders are read once: thousands of look-ups of single files are slow on some disks.
    """
    inside = root.resolve()
    plain: set[Path] = set()
    others: set[Path] = set()
    for folder in dict.fromkeys(file.parent for file in files):
        _check_inside(listing, folder, inside)
        for entry in _entries(folder):
            kind = plain if not entry.is_symlink() and entry.is_file() else others
            kind.add(folder / entry.name)
    missing = [file for file in files if file not in plain and file not in others]
    if missing:
        raise LocalFolderError(f"{listing}: {len(missing)} of {len(files)} images are missing, first {missing[0]}")
    for file in files:
        if file in others:
            _check_inside(listing, file, inside)
            _check_plain(listing, file)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check_inside(listing: Path, file: Path, inside: Path) -> None:
    target = file.resolve()
    if not target.is_relative_to(inside):
        raise LocalFolderError(
            f"{listing}: {file} is a link out of {inside}, to {target}: put the images themselves there"
        )


def _check_plain(listing: Path, file: Path) -> None:
    if file.is_dir():
        raise LocalFolderError(f"{listing}: {file} is a folder, not an image")
    if not file.exists():
        raise LocalFolderError(f"{listing}: {file} is a link to nothing")
    if not file.is_file():
        raise LocalFolderError(f"{listing}: {file} is no plain file (a pipe or a device), and is not opened")
