"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import ModelError


@contextmanager
def written(path: str | Path) -> Iterator[Path]:
    """A new folder to write to, which appears under its name when the block ends without an error.

    Args:
        path: the name.

    Yields:
        The folder.

    Raises:
        ModelError: `path` is a file or a folder that is not empty, or the weights cannot be written.
    """
    from safetensors import SafetensorError

    path = Path(path)
    check_free(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        folder = Path(temporary) / path.name
        folder.mkdir()
        try:
            yield folder
        except SafetensorError as error:  # a full disk, which is an OSError where anybody else writes
            raise ModelError(f"{path} cannot be written: {error}") from error
        folder.rename(path)


def check_free(path: str | Path) -> None:
    """Look whether a folder can be written, before the work that makes what is to be in it.

    Args:
        path: its name.

    Raises:
        ModelError: `path` is a file or a folder that is not empty, or nothing can be made where it is to be.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ModelError(f"{path} exists and is not an empty folder: choose another path, or remove it")
    place = path.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ModelError(f"{path} cannot be made: {place} is no folder that can be written to")
