"""Images of folder tasks, decoded before the cells that read them run, so that no accelerator waits for a JPEG."""

import shutil
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import NamedTuple

import torch

from sparsebench.data.cache import cache_root
from sparsebench.data.errors import DownloadError
from sparsebench.data.vision.vtab1k import PARTS, ImageList
from sparsebench.data.vision.vtab1k.decoded import Form, Run, decode, find_decoded, is_decoded
from sparsebench.data.vision.vtab1k.images import read_rgb
from sparsebench.data.vision.vtab1k.resizing import resized

from .body import VisionBody
from .community_folder import FolderTask

READ_TOGETHER = 64
"""Images of a batch by which reading is timed."""


class TaskDecoded(NamedTuple):
    """What decoding a task took: images of all its parts, those of them that were decoded now, and seconds."""

    images: int
    made: int
    seconds: float


def form_of(body: VisionBody) -> Form:
    """What images become for a network."""
    return Form(size=body.size, interpolation=body.interpolation.value)


def parts_of(task: FolderTask) -> list[ImageList]:
    """The four lists of a task. Raises `DataError` where they are not what they must be."""
    read = task.read()
    return [getattr(read, part) for part in PARTS]


def missing_images(parts: Iterable[ImageList], form: Form) -> int:
    """How many images of the lists are not decoded yet."""
    return sum(len(part) for part in parts if not is_decoded(part, form))


def check_space(images: int, form: Form) -> float:
    """Bytes that so many images take decoded. Raises `DownloadError` where the disk of the cache has less."""
    needed = float(images * form.bytes)
    place = cache_root()
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise DownloadError(
            f"decoded at {form.size} pixels, the images take {needed / 1e9:.1f} GB, and the disk of {place} has "
            f"{free / 1e9:.1f} GB: set SPARSEBENCH_CACHE to another disk, name fewer tasks, or say --no-decode"
        )
    return needed


def decode_task(parts: Iterable[ImageList], form: Form, run: Run = map) -> TaskDecoded:
    """Decode the lists of a task, by `run`. Raises `DataError` for an image that cannot be read."""
    images = made = 0
    seconds = 0.0
    for part in parts:
        done = decode(part, form, run)
        images += len(part)
        made += done.images
        seconds += done.seconds
    return TaskDecoded(images, made, seconds)


def decoding_rate(part: ImageList, form: Form, most: int = 32) -> float:
    """Images a second that one process reads, decodes and resizes."""
    rows = range(min(most, len(part)))
    start = perf_counter()
    for row in rows:
        resized(read_rgb(part.files[row], upright=part.upright)[None], form.size, form.interpolation)
    return len(rows) / (perf_counter() - start)


def reading_rate(part: ImageList, form: Form, most: int = 512) -> float | None:
    """Decoded images a second that one thread copies into batches of 64; None where the list is not decoded."""
    rows = range(min(most, len(part)))
    found = find_decoded(part, form, rows)
    if found is None:
        return None
    start = perf_counter()
    for batch in _batches(rows):
        torch.stack([found[row] for row in batch])
    return len(rows) / (perf_counter() - start)


def waiting(supply: float, demand: float) -> float:
    """The fraction of its time for which a device waits.

    Args:
        supply: images a second that arrive, while it computes.
        demand: images a second that it could take.

    Returns:
        0 where they arrive as fast as they are taken.
    """
    return max(0.0, 1.0 - supply / demand)


def _batches(rows: range) -> Iterator[range]:
    for start in range(0, len(rows), READ_TOGETHER):
        yield rows[start : start + READ_TOGETHER]
