"""Images of a list, decoded and resized once by worker processes, and read from the cache from then on.

To decode and resize an image takes a processor some milliseconds, and a table asks for the same test images with every
row and seed. `decode` writes what `resized` makes of them, one after another, into a file of the cache; `find_decoded`
maps that file into memory, so that a batch is copied from it and nothing is computed. What is found is what decoding
would give, to the bit: other images (their sizes and times), another size or interpolation, another version of a
library that decodes or resizes, and other code of ours for it are another content, and are decoded again.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ...cache.digests import remember_digest, sha256_of
from ...cache.folders import build_once, cache_root, is_complete
from ...cache.ledger import FileRead, note
from ...cache.seal import read_seal
from ...derived import made_from
from .checks import mark_read, state_of
from .checksums import check_sums, read_sums
from .images import ImageList, read_rgb
from .resizing import resized

if TYPE_CHECKING:
    from torch import Tensor

PIXELS = "pixels.bin"
FILES = "files.json"
CHUNK = 32
"""Images that a worker is given at a time."""
Run = Callable[..., Iterable[Any]]
"""`map`, by whoever it is."""
LIBRARIES = ("pillow", "torch", "torchvision")
"""What decodes and resizes."""
CODE = tuple(Path(__file__).with_name(name) for name in ("images.py", "pixels.py", "resizing.py"))
"""What of ours does so with them."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What images become: uint8 (3, size, size), by an interpolation of `resized`."""

    size: int
    interpolation: str

    @property
    def bytes(self) -> int:
        """Of one image."""
        return 3 * self.size * self.size


@dataclass(frozen=True)
class Decoded:
    """What `decode` did: how many images it decoded, 0 where they were there, and the seconds that it took."""

    images: int
    seconds: float


class DecodedImages(Sequence["Tensor"]):
    """Rows of a file of decoded images: item i is uint8 (3, size, size), a view of the mapped file."""

    def __init__(self, pixels: "Tensor", rows: Sequence[int]) -> None:
        self.pixels = pixels
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return DecodedImages(self.pixels, self.rows[index])
        return self.pixels[self.rows[index]]


def is_decoded(part: ImageList, form: Form) -> bool:
    """Whether the images of a list lie decoded in the cache, as they were written."""
    folder = _folder(part, form)
    return is_complete(folder, _identity(part, form)) and _is_as_sealed(folder)


def find_decoded(part: ImageList, form: Form, rows: Sequence[int]) -> DecodedImages | None:
    """Decoded images of a list.

    Args:
        part: the list.
        form: size and interpolation.
        rows: those that are wanted; each counts as read, with the digest that its file had when it was decoded.

    Returns:
        The images, in the order of `rows`; None where they were not decoded, or their file was changed.
    """
    import torch

    if not is_decoded(part, form):
        return None
    folder = _folder(part, form)
    files = _files(folder)
    for row in rows:
        name, size, digest = files[row]
        remember_digest(part.files[row], digest)
        note(FileRead(part.source, name, size, digest))
    mapped = torch.from_file(str(folder / PIXELS), shared=False, size=len(part) * form.bytes, dtype=torch.uint8)
    return DecodedImages(mapped.view(len(part), 3, form.size, form.size), rows)


@contextmanager
def decoders(workers: int) -> Iterator[Run]:
    """Worker processes that decode, for as long as the block lasts.

    Args:
        workers: how many; one decodes in this process. Several are started anew, so a script that asks for them needs
            the usual `if __name__ == "__main__"`.

    Returns:
        `map` over them, in order.
    """
    if workers < 2:
        yield map
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def decode(part: ImageList, form: Form, run: Run = map) -> Decoded:
    """Decode the images of a list into the cache, unless they are there; they count as checked (`check_images`) then.

    Args:
        part: the list.
        form: size and interpolation.
        run: `map` of this process, or over those of `decoders`.

    Returns:
        How many images were decoded, and the seconds.

    Raises:
        LocalFolderError: the first image that cannot be read, by its name.
        ChecksumError: an image without its sum of SHA256SUMS.
        DownloadError: the disk of the cache is full, or cannot be written.
    """
    start = perf_counter()
    if is_decoded(part, form):
        return Decoded(0, perf_counter() - start)
    folder = _folder(part, form)
    build_once(folder, _identity(part, form), lambda place: _fill(place, part, form, run), again=True)
    for file, (_, _, digest) in zip(part.files, _files(folder), strict=True):
        remember_digest(file, digest)
    check_sums(read_sums(part.listing.parent), part.files)
    mark_read(part)
    return Decoded(len(part), perf_counter() - start)


def _folder(part: ImageList, form: Form) -> Path:
    """One for each list of names and form: other images of these names take the place of those before."""
    names = "\n".join(str(file.absolute()) for file in part.files)  # parts of class folders have no list of their own
    place = hashlib.sha256(names.encode()).hexdigest()[:16]
    name = f"{part.listing.parent.name}-{part.listing.stem}-{form.size}-{form.interpolation}-{place}"
    return cache_root() / "decoded" / part.source / name


def _identity(part: ImageList, form: Form) -> dict[str, str]:
    about = {"images": state_of(part), "upright": str(part.upright), "size": str(form.size)}
    about["interpolation"] = form.interpolation
    about["code"] = made_from(CODE, ())
    return about | {name: version(name) for name in LIBRARIES}


def _is_as_sealed(folder: Path) -> bool:
    """Whether the pixels have the size and time of the seal; this machine wrote them, so they are not hashed again."""
    sealed = read_seal(folder)
    assert sealed is not None
    try:
        stat = (folder / PIXELS).stat()
    except OSError:
        return False
    expected = sealed.files[PIXELS]
    return (stat.st_size, stat.st_mtime_ns) == (expected.size, expected.mtime_ns)


def _files(folder: Path) -> list[tuple[str, int, str]]:
    """Of each row: path below the root, bytes and digest of the file that it was decoded from."""
    return [tuple(row) for row in json.loads((folder / FILES).read_text(encoding="utf-8"))]


def _fill(folder: Path, part: ImageList, form: Form, run: Run) -> None:
    pixels = folder / PIXELS
    with pixels.open("wb") as stream:
        stream.truncate(len(part) * form.bytes)
    starts = range(0, len(part), CHUNK)
    jobs = [_Job(pixels, part.files[start : start + CHUNK], part.upright, form, start) for start in starts]
    found: list[tuple[int, str]] = []
    for digests in run(_decode_chunk, jobs):
        found += digests
    names = [Path(os.path.relpath(file, part.root)).as_posix() for file in part.files]
    rows = [(name, *about) for name, about in zip(names, found, strict=True)]
    (folder / FILES).write_text(json.dumps(rows), encoding="utf-8")


@dataclass(frozen=True)
class _Job:
    pixels: Path
    files: tuple[Path, ...]
    upright: bool
    form: Form
    start: int


def _decode_chunk(job: _Job) -> list[tuple[int, str]]:
    """Write the images of a job to their places; gives the size and the digest of each file."""
    found = []
    with job.pixels.open("r+b") as stream:
        stream.seek(job.start * job.form.bytes)
        for file in job.files:
            image = read_rgb(file, upright=job.upright)
            stream.write(resized(image[None], job.form.size, job.form.interpolation).numpy().tobytes())
            found.append((file.stat().st_size, sha256_of(file)))
    return found


def _start_worker() -> None:
    """One thread each, and an end when the process that asked for them is gone: it may have been killed."""
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
