"""What the lists of a folder in the community layout must be, and that its images can be read."""

import contextlib
import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...cache.digests import digest_once
from ...cache.folders import cache_root
from ...errors import LocalFolderError
from .checksums import NAME, check_sums, read_sums
from .images import ImageList, read_rgb

MOST_TWINS = 0.01
"""Largest share of rows of one part whose image stands there twice: real sets hold a few, more are a mistake."""

Parts = Mapping[str, ImageList]
"""`train800`, `val200`, `train800val200` and `test` of one task."""


def check_sizes(parts: Parts, sizes: Mapping[str, int]) -> None:
    """Raises `LocalFolderError` for a part with more or fewer rows."""
    for name, size in sizes.items():
        found = len(parts[name])
        if found != size:
            raise LocalFolderError(f"{parts[name].listing} has {found} rows, but {name} of this task has {size}")


def check_parts(parts: Parts, *, twins: bool = False) -> None:
    """Rows stand once, no image is in two parts, and train800val200 is the union of train800 and val200.

    Images of the three lists are compared by their content, since the layout holds each of them twice, under two names.
    ``twins``: different rows of this set may hold the same image. Raises `LocalFolderError`.
    """
    for part in parts.values():
        _check_once(part)
    _check_paths_apart(parts["train800"], parts["val200"])
    for name in ("train800", "val200", "train800val200"):
        _check_paths_apart(parts[name], parts["test"])
    if not twins:
        _check_twins(parts["train800"])
        _check_twins(parts["val200"])
        _check_content_apart(parts["train800"], parts["val200"])
    _check_union(parts["train800"], parts["val200"], parts["train800val200"])


def check_test_apart(parts: Parts) -> None:
    """Raises `LocalFolderError` where a test image is an image of train800val200 by content, under another name."""
    copies = test_copies(parts)
    if copies:
        test, seen = copies[0]
        raise LocalFolderError(
            f"{parts['test'].listing}: {len(copies)} test images are training images, as {test}, which is {seen}: take "
            "them out of one of the lists"
        )


def say_test_copies(parts: Parts) -> None:
    """The same as a warning, once a machine where there are none: official folders are scored as they are."""
    digest = hashlib.sha256("".join(state_of(parts[name]) for name in ("train800val200", "test")).encode())
    marker = cache_root() / "checked" / f"{parts['test'].source}-apart-{digest.hexdigest()[:24]}"
    if marker.exists():
        return
    copies = test_copies(parts)
    if copies:
        test, seen = copies[0]
        found = f"{len(copies)} of {len(parts['test'])} test images are training images, as {test}, which is {seen}"
        warnings.warn(f"{parts['test'].listing}: {found}", stacklevel=2)
        return
    _mark(marker)


def test_copies(parts: Parts) -> list[tuple[Path, Path]]:
    """Test images whose content is that of an image of train800val200, and that image. Every image is read."""
    seen = _by_content(parts["train800val200"])
    found = [(file, digest_once(file)) for file in parts["test"].files]
    return [(file, seen[digest]) for file, digest in found if digest in seen]


def classes_of(parts: Parts) -> int:
    """One more than the largest label. Raises `LocalFolderError`, which names its row, where labels below have none."""
    largest = max(max(part.labels) for part in parts.values())
    used = {label for part in parts.values() for label in part.labels}
    unused = sorted(set(range(largest)) - used)
    if unused:
        part = next(part for part in parts.values() if largest in part.labels)
        row = part.labels.index(largest)
        raise LocalFolderError(
            f"{part.listing}, line {row + 1}: label {largest} of {part.files[row].name} says that there are "
            f"{largest + 1} classes, from 0, but {len(unused)} of them have no row in any list, first {unused[0]}"
        )
    return largest + 1


def say_absent_classes(part: ImageList, classes: int) -> None:
    """Warn of classes without a row, of which the trials that choose options see nothing."""
    missing = sorted(set(range(classes)) - set(part.labels))
    if missing:
        warnings.warn(
            f"{part.listing}: {len(missing)} of {classes} classes have no row, first {missing[0]}", stacklevel=2
        )


def check_classes(part: ImageList, classes: int) -> None:
    """Raises `LocalFolderError` where a class has no row."""
    missing = sorted(set(range(classes)) - set(part.labels))
    if missing:
        first = ", ".join(map(str, missing[:5]))
        raise LocalFolderError(f"{part.listing}: {len(missing)} of {classes} classes have no row: {first}")


def check_images(parts: Iterable[ImageList]) -> None:
    """Read every image. Raises `LocalFolderError`, which names the first that cannot be read, or `ChecksumError`.

    Where the folder has SHA256SUMS, each image must have its sum. A part that was read once and whose files have kept
    size and times is not read again on this machine.
    """
    for part in parts:
        if _marker_of(part).exists():
            continue
        check_sums(read_sums(part.listing.parent), part.files)
        for file in part.files:
            read_rgb(file)
        mark_read(part)


def mark_read(part: ImageList) -> None:
    """Note that every image of a list was read and has its sum: `check_images` does not read it again."""
    _mark(_marker_of(part))


def _marker_of(part: ImageList) -> Path:
    return cache_root() / "checked" / f"{part.source}-{state_of(part)}"


def _mark(marker: Path) -> None:
    with contextlib.suppress(OSError):  # without a marker, the images are read again the next time
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def state_of(part: ImageList) -> str:
    """Changes with the place, size and times of any of the files, and of their sums."""
    digest = hashlib.sha256()
    sums = part.listing.parent / NAME
    for file in [*part.files, *([sums] if sums.is_file() else [])]:
        stat = file.stat()
        digest.update(f"{file} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _check_once(part: ImageList) -> None:
    count = Counter(part.files)
    repeated = [file for file, times in count.items() if times > 1]
    if repeated:
        raise LocalFolderError(f"{part.listing}: {len(repeated)} images are listed twice, first {repeated[0]}")


def _check_paths_apart(one: ImageList, other: ImageList) -> None:
    common = sorted(set(one.files) & set(other.files))
    if common:
        raise LocalFolderError(
            f"{one.listing} and {other.listing.name} overlap in {len(common)} images, first {common[0]}"
        )


def _check_content_apart(one: ImageList, other: ImageList) -> None:
    first = _by_content(one)
    common = [(first[digest], file) for digest, file in _by_content(other).items() if digest in first]
    if common:
        here, there = common[0]
        raise LocalFolderError(
            f"{one.listing} and {other.listing.name} overlap in {len(common)} images: {there} is {here}"
        )


def _check_twins(part: ImageList) -> None:
    extra = len(part) - len(_by_content(part))
    if not extra:
        return
    found = f"{part.listing}: {extra} of {len(part)} rows repeat the image of another row"
    if extra > MOST_TWINS * len(part):
        raise LocalFolderError(f"{found}: at most {MOST_TWINS:.0%} of a real set do")
    warnings.warn(found, stacklevel=2)


def _check_union(train: ImageList, val: ImageList, both: ImageList) -> None:
    expected = Counter([*_rows(train), *_rows(val)])
    found = Counter(_rows(both))
    strange = [file for row, file in zip(_rows(both), both.files, strict=True) if found[row] > expected[row]]
    if strange:
        raise LocalFolderError(
            f"{both.listing} is not train800 and val200 together: {len(strange)} rows are in neither of them with this "
            f"image and label, first {strange[0]}"
        )
    if found != expected:
        missing = expected.total() - found.total()
        raise LocalFolderError(
            f"{both.listing} is not train800 and val200 together: {missing} of their rows are missing"
        )


def _rows(part: ImageList) -> list[tuple[str, int]]:
    """Content and label of each row."""
    return [(digest_once(file), label) for file, label in zip(part.files, part.labels, strict=True)]


def _by_content(part: ImageList) -> dict[str, Path]:
    """The last file of each content."""
    return {digest_once(file): file for file in part.files}
