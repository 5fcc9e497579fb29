"""Images in a folder for each class, as torchvision, timm and datasets take them.

    <root>/<class>/*.jpg                 dealt out by class and content: a fifth to choose on, a fifth to test on
    <root>/{train,val,test}/<class>/...  the user's own parts; of one that is missing, a fifth of the training images

Files lie at any depth below their class folder. What is no image, a second copy of an image, and a link to a folder is
in no part, and is listed with the reason. One image in two classes is refused, and so is a part that is a link.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...cache.digests import digest_once
from ...errors import LocalFolderError, TableError
from ...labelled.dealt import PARTS, Part, Rejected, complete, deal, part_named
from .images import ImageList, read_rgb

LISTING = "class folders"
"""Stands where the layout of lists has the name of a list."""
LINKED = "a link to a folder, which is not followed: put the folder itself there"


@dataclass(frozen=True)
class ClassFolders:
    """Names of the classes in the order of their numbers, the four parts by name, and what is in none of them."""

    names: tuple[str, ...]
    parts: Mapping[str, ImageList]
    rejected: tuple[Rejected, ...]


class _Image(NamedTuple):
    file: Path
    label: str
    named: Part | None
    digest: str


def class_folders(source: str, root: Path, content: str | None) -> ClassFolders:
    """The images below a folder; each is opened once for each content of the folder.

    Args:
        source: whose folder it is.
        root: the folder.
        content: what identifies its content; None looks at it again.

    Returns:
        Four parts, all of which have images.

    Raises:
        TableError: no class folders, a class with too few images, one image in two classes.
    """
    return _remembered(source, root, content) if content is not None else _read(source, root)


@functools.lru_cache(4)
def _remembered(source: str, root: Path, content: str) -> ClassFolders:
    return _read(source, root)


def _read(source: str, root: Path) -> ClassFolders:
    rejected: list[Rejected] = []
    images = _distinct(root, _readable(root, rejected), rejected)
    if not images:
        raise TableError(_nothing(root, rejected))
    names = sorted({image.label for image in images})
    if len(names) < 2:
        raise TableError(f"{root} has images of one class, {names[0]!r}; two are needed{_one_below(root, images)}")
    parts = _parts(root, images)
    chosen = {part: [image for image, own in zip(images, parts, strict=True) if own == part] for part in PARTS}
    absent = sorted(set(names) - {image.label for image in chosen["train"]})
    if absent:
        raise TableError(f"{root}: the class {absent[0]!r} has no training image")

    def listed(members: Sequence[_Image]) -> ImageList:
        files = tuple(image.file for image in members)
        labels = tuple(names.index(image.label) for image in members)
        return ImageList(source=source, root=root, listing=root / LISTING, files=files, labels=labels, upright=True)

    both = [*chosen["train"], *chosen["val"]]
    members = {"train800": chosen["train"], "val200": chosen["val"], "train800val200": both, "test": chosen["test"]}
    return ClassFolders(tuple(names), {name: listed(part) for name, part in members.items()}, tuple(rejected))


def _readable(root: Path, rejected: list[Rejected]) -> list[_Image]:
    """Every image below a class folder that can be read."""
    tops = _folders(root)
    if not tops:
        raise TableError(f"{root} has neither the four lists nor a folder for each class")
    in_parts = _are_parts(root, tops)
    found = []
    for file in sorted(root.rglob("*")):
        path = file.relative_to(root)
        folder = file.is_dir() and not file.is_symlink()
        if folder or any(step.startswith(".") for step in path.parts):
            continue
        above = path.parts[1:-1] if in_parts else path.parts[:-1]
        reason = _fault(file, root, above)
        if reason:
            rejected.append(Rejected(path.as_posix(), reason))
            continue
        named = part_named(path.parts[0]) if in_parts else None
        found.append(_Image(file, above[0], named, digest_once(file)))
    if found:
        used = {image.label for image in found}
        folders = [below for top in tops for below in _folders(top)] if in_parts else tops
        for folder in folders:
            if folder.name not in used and not folder.is_symlink():
                rejected.append(Rejected(folder.relative_to(root).as_posix(), "a folder without an image, so no class"))
    return found


def _folders(place: Path) -> list[Path]:
    return [entry for entry in sorted(place.iterdir()) if entry.is_dir() and not entry.name.startswith(".")]


def _are_parts(root: Path, tops: Sequence[Path]) -> bool:
    """Whether the folders are parts, with classes below them. A class may be called "train", among cars and buses.

    Raises `TableError` for training images, another part and a further folder side by side: as classes, a row would
    learn which part an image is of. So it does for a part that is a link: without its images, others would be the part.
    """
    named = [top.name for top in tops if part_named(top.name)]
    linked = [top.name for top in tops if part_named(top.name) and top.is_symlink()]
    others = [top.name for top in tops if not part_named(top.name)]
    parts = {part_named(name) for name in named}
    if others and "train" in parts and len(parts) > 1:
        raise TableError(
            f"{root} has folders of parts, {', '.join(named)}, and another beside them, {others[0]!r}: move it away, "
            "or rename those that are classes"
        )
    if linked and not others:
        raise TableError(f"{root}: its part {linked[0]!r} is {LINKED}")
    return not others


def _fault(file: Path, root: Path, above: Sequence[str]) -> str:
    """Why a file, or a link to a folder, with these class folders above it cannot be used, or nothing."""
    if file.is_dir():
        return LINKED
    if not above:
        return "it lies in no class folder"
    if not file.resolve().is_relative_to(root.resolve()):
        return "a link out of the folder: put the image itself there"
    if not file.is_file():
        return "no plain file"
    try:
        read_rgb(file, upright=True)
    except LocalFolderError as error:
        return str(error).removeprefix(f"{file} is ").removesuffix(": copy it again")
    return ""


def _distinct(root: Path, images: Sequence[_Image], rejected: list[Rejected]) -> list[_Image]:
    """Each image once; a copy in a later part stays, so that what is tested was not trained on."""
    found: dict[str, _Image] = {}
    for image in sorted(images, key=lambda image: -PARTS.index(image.named or "train")):
        known = found.setdefault(image.digest, image)
        if known is image:
            continue
        here, there = image.file.relative_to(root).as_posix(), known.file.relative_to(root).as_posix()
        if known.label != image.label:
            raise TableError(f"{root}: one image has two labels, {there} and {here}")
        rejected.append(Rejected(here, f"the same image as {there}"))
    return sorted(found.values(), key=lambda image: image.file)


def _parts(root: Path, images: Sequence[_Image]) -> list[Part]:
    labels = [image.label for image in images]
    keys = [image.digest for image in images]
    named: list[Part] = [image.named for image in images if image.named is not None]
    if not named:
        return deal(labels, keys, str(root))
    if "train" not in named:
        raise TableError(f"{root} has no readable image among its training images that no later part has, too")
    return complete(named, labels, keys, str(root))


def _one_below(root: Path, images: Sequence[_Image]) -> str:
    """Of images of one class: where to look instead, if the folders of classes lie one level further down."""
    steps = [image.file.relative_to(root).parts for image in images]
    below = sorted({inner[1] for inner in steps if len(inner) > 2})
    if len(below) < 2 or images[0].named is not None:
        return ""
    return f"; if the classes are {', '.join(below)}, say {root / steps[0][0]}"


def _nothing(root: Path, rejected: Sequence[Rejected]) -> str:
    if not rejected:
        return f"{root} has class folders, and no file in them"
    first = f"{rejected[0].row}: {rejected[0].reason}"
    return f"{root}: none of its {len(rejected)} files is an image of a class that can be read; of the first, {first}"
