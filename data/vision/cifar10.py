"""CIFAR-10 (Krizhevsky, 2009): 32 x 32 photographs of ten kinds of things, from a copy of yours or from the hub.

Whoever pre-trains small vision backbones reads it (`suites/vtab/pretraining`), and the tasks `cifar10*`, from the
folder or zip file that SPARSEBENCH_CIFAR10 names. None of its images comes with the package: it is research data
without a stated licence.
"""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from ..errors import DownloadError, LocalFolderError, OfflineError, reason_of
from ..local_folders import note_unpinned
from ..offline import offline
from ..sources import ensure
from .splits import Images, VisionSplits, draw

if TYPE_CHECKING:
    import numpy as np

NAME = "uoft-cs/cifar10"
"""Name of the data set on the hub."""
SOURCE = "cifar10"
SEED = 2009  # part of the version
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
LAYOUTS = "give a folder or zip with {train,test}/<class>/<image>, or a folder with plain_text/{train,test}-*.parquet"
Part = Literal["train", "test"]


class _Encoded(NamedTuple):
    """An image as it is stored: what errors call it, its bytes, its class, and the file that it lies in."""

    name: str
    content: bytes
    label: int
    file: Path


def cifar10_splits(train: int = 800, val: int = 200) -> VisionSplits:
    """Split the training images of the user's copy, and take all of its test images, which are official ones.

    Args:
        train: number of training images.
        val: number of training images that validate.

    Returns:
        The three parts, each in a random order. Which images train follows from how many the copy has.

    Raises:
        LocalFolderError: no copy is named, it has too few training images, or what `cifar10` refuses of it.
    """
    copy = ensure(SOURCE)
    labelled = _encoded(copy, "train")
    if train + val > len(labelled):
        asked = f"{train:,} + {val:,} to train and validate are asked for"
        raise LocalFolderError(f"{copy} has {len(labelled):,} training images, and {asked}: take the whole data set")
    test = _encoded(copy, "test")
    (order,) = draw(len(test), SEED, len(test))  # by class as they lie there; whoever scores some takes the first
    test = [test[row] for row in order]
    parts = [[labelled[row] for row in index] for index in draw(len(labelled), SEED, train, val)]
    root = copy if copy.is_dir() else copy.parent
    for file in sorted({one.file for part in (*parts, test) for one in part}):
        note_unpinned(SOURCE, root, file)
    return VisionSplits(*map(_images, (*parts, test)))


def cifar10(copy: Path | None, part: Part) -> Images:
    """The images of one part in the order of their names, uint8 (N, 32, 32, 3), and their classes from 0 to 9.

    Args:
        copy: a copy of yours, which may hold fewer images than the 50,000 + 10,000; None takes all of the hub's, which
            it fetches once.
        part: "train" or "test".

    Returns:
        Images and labels.

    Raises:
        ValueError: another part.
        LocalFolderError: a copy in another layout, without images of a class, or with one that cannot be read or has
            another size.
        OfflineError: the hub may not be asked.
        DownloadError: the hub cannot be asked.

    Example::

        images, labels = cifar10(Path("cifar10.zip"), "train")
    """
    if part not in get_args(Part):
        raise ValueError(f"part is {part!r}; parts: {', '.join(get_args(Part))}")
    return _images(_encoded(_from_hub() if copy is None else copy, part))


def _encoded(copy: Path, part: Part) -> list[_Encoded]:
    """All images of a part, in the order of their names; none is decoded."""
    found = list(_files(copy, part))
    absent = set(range(len(CLASSES))) - {one.label for one in found}
    if absent:
        raise LocalFolderError(f"{copy}: no image of {CLASSES[min(absent)]!r} in its part {part}; {LAYOUTS}")
    return found


def _images(encoded: Iterable[_Encoded]) -> Images:
    import numpy as np

    images = []
    labels = []
    for one in encoded:
        images.append(_pixels(one.name, one.content))
        labels.append(one.label)
    return Images(np.stack(images), np.array(labels, np.int64))


def _from_hub() -> Path:
    """The folder in the hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(
            snapshot_download(
                NAME, repo_type="dataset", allow_patterns=["plain_text/*.parquet"], local_files_only=offline()
            )
        )
    except (OSError, HfHubHTTPError) as error:  # a file that is not in the cache is an OSError, too
        if offline():
            raise OfflineError(f"{NAME} is not in the hub's cache and SPARSEBENCH_OFFLINE is set") from error
        reason = reason_of(error)
        raise DownloadError(f"{NAME} cannot be fetched from the hub: {reason}; or give a copy of yours") from error


def _files(copy: Path, part: Part) -> Iterator[_Encoded]:
    """The images of a part in one of the three layouts."""
    if copy.is_dir():
        tables = sorted(copy.glob(f"plain_text/{part}-*.parquet"))
        if tables:
            yield from _rows(tables)
        else:
            yield from _folder(copy, part)
    elif copy.is_file() and zipfile.is_zipfile(copy):
        yield from _zip(copy, part)
    else:
        raise LocalFolderError(f"{copy} is neither a folder nor a zip file; {LAYOUTS}")


def _rows(tables: list[Path]) -> Iterator[_Encoded]:
    """Images and labels of parquet files with the columns `img` (a struct with `bytes`) and `label`."""
    import pyarrow.parquet

    for table in tables:
        file = pyarrow.parquet.ParquetFile(table)
        absent = {"img", "label"} - set(file.schema_arrow.names)
        if absent:
            raise LocalFolderError(f"{table} has no column {min(absent)!r}: is it {NAME} as the hub has it?")
        row = 0
        for batch in file.iter_batches(columns=["img", "label"]):
            for image, label in zip(batch["img"].to_pylist(), batch["label"].to_pylist(), strict=True):
                if label not in range(len(CLASSES)):
                    raise LocalFolderError(f"{table}: row {row} has class {label}, and classes go from 0 to 9")
                yield _Encoded(f"{table}: row {row}", image["bytes"], label, table)
                row += 1


def _folder(copy: Path, part: Part) -> Iterator[_Encoded]:
    for label, kind in enumerate(CLASSES):
        for file in sorted((copy / part / kind).glob("*")):
            yield _Encoded(str(file), file.read_bytes(), label, file)


def _zip(copy: Path, part: Part) -> Iterator[_Encoded]:
    with zipfile.ZipFile(copy) as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        for label, kind in enumerate(CLASSES):
            for name in names:
                if name.startswith(f"{part}/{kind}/"):
                    yield _Encoded(f"{copy}: {name}", archive.read(name), label, copy)


def _pixels(name: str, content: bytes) -> "np.ndarray":
    """uint8 (32, 32, 3)."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"))
    # PIL's errors for broken files: UnidentifiedImageError and cut files are OSError, broken chunks SyntaxError
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise LocalFolderError(f"{name} is no readable image ({error}): copy it again") from None
    if pixels.shape != (SIDE, SIDE, 3):
        height, width, _ = pixels.shape
        raise LocalFolderError(f"{name} has {width} x {height} pixels, and CIFAR-10's images have {SIDE} x {SIDE}")
    return pixels
