"""Old weights, kept on disk while a model is changed, so that an error half-way leaves it as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import torch
from torch import Tensor

from ...errors import ModelError
from ..linear.linear_map import LinearMap


class Undo:
    """A context that writes back what was given to `keep`, the newest first, where it is left by an error.

    The weights lie in a temporary file meanwhile, in `folder` or where the system has its own: memory holds one of them
    at a time. Where it is not `active`, it keeps and writes back nothing.

        with Undo() as undo:
            undo.keep(one)
            one.write(changed)
    """

    def __init__(self, folder: str | Path | None = None, *, active: bool = True) -> None:
        self._file = _opened(folder) if active else None
        self._kept: list[tuple[LinearMap, int]] = []

    def keep(self, one: LinearMap) -> None:
        """Keep the weights of a map as they are now."""
        if self._file is None:
            return
        self._kept.append((one, self._file.tell()))
        self._file.write(_bytes(one.weight.cpu().contiguous()))

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is None:
            return
        with self._file as file:
            for one, place in reversed(self._kept if kind is not None else []):
                file.seek(place)
                one.write(_read(file, one.weight))


def _opened(folder: str | Path | None) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise ModelError(f"folder={str(folder)!r} cannot hold the old weights: {error.strerror}") from error


def _read(file: Any, like: Tensor) -> Tensor:
    old = torch.empty(like.shape, dtype=like.dtype)
    # Into memory of the tensor itself: bfloat16 is no type that the file or numpy knows.
    count = file.readinto(_bytes(old))
    assert count == old.nbytes
    return old


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.flatten().view(torch.uint8).numpy().data
