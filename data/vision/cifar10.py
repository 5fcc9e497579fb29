"""CIFAR-10 (Krizhevsky, 2009): 32 x 32 photographs of ten kinds of things, from a copy of yours or from the hub.

It is read where somebody pre-trains small vision backbones (`suites/vtab/pretraining`). No task uses it, and none of
its images comes with the package: it is research data without a stated licence.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import DownloadError, LocalFolderError, OfflineError
from ..offline import offline
from .splits import Images

if TYPE_CHECKING:
    import numpy as np

NAME = "uoft-cs/cifar10"
"""Name of the data set on the hub."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
LAYOUTS = "give a folder or zip with {train,test}/<class>/<image>, or a folder with plain_text/{train,test}-*.parquet"
Part = Literal["train", "test"]


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
    import numpy as np

    if part not in get_args(Part):
        raise ValueError(f"part is {part!r}; parts: {', '.join(get_args(Part))}")
    if copy is None:
        copy = _from_hub()
    images = []
    labels = []
    for name, content, label in _files(copy, part):
        images.append(_pixels(name, content))
        labels.append(label)
    absent = set(range(len(CLASSES))) - set(labels)
    if absent:
        raise LocalFolderError(f"{copy}: no image of {CLASSES[min(absent)]!r} in its part {part}; {LAYOUTS}")
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
        reason = " ".join(str(error).split())
        raise DownloadError(f"{NAME} cannot be fetched from the hub: {reason}; or give a copy of yours") from error


def _files(copy: Path, part: Part) -> Iterator[tuple[str, bytes, int]]:
    """Name, encoded image and class of each image of a part."""
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


def _rows(tables: list[Path]) -> Iterator[tuple[str, bytes, int]]:
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
                yield f"{table}: row {row}", image["bytes"], label
                row += 1


def _folder(copy: Path, part: Part) -> Iterator[tuple[str, bytes, int]]:
    for label, kind in enumerate(CLASSES):
        for file in sorted((copy / part / kind).glob("*")):
            yield str(file), file.read_bytes(), label


def _zip(copy: Path, part: Part) -> Iterator[tuple[str, bytes, int]]:
    with zipfile.ZipFile(copy) as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        for label, kind in enumerate(CLASSES):
            for name in names:
                if name.startswith(f"{part}/{kind}/"):
                    yield f"{copy}: {name}", archive.read(name), label


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
