"""Old weights, kept on disk while a model is changed, so that an error half-way leaves it as it was."""

from __future__ import annotations

import tempfile
from types import TracebackType

import torch
from torch import Tensor

from .linear_map import LinearMap


class Undo:
    """A context that writes back what was given to `keep`, the newest first, where it is left by an error.

    The weights lie in a temporary file meanwhile: memory holds one of them at a time.

        with Undo() as undo:
            undo.keep(one)
            one.write(changed)
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._kept: list[tuple[LinearMap, int]] = []

    def keep(self, one: LinearMap) -> None:
        """Keep the weights of a map as they are now."""
        self._kept.append((one, self._file.tell()))
        self._file.write(_bytes(one.weight.cpu().contiguous()))

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is not None:
                for one, place in reversed(self._kept):
                    self._file.seek(place)
                    one.write(self._read(one.weight))
        finally:
            self._file.close()

    def _read(self, like: Tensor) -> Tensor:
        old = torch.empty(like.shape, dtype=like.dtype)
        # Into memory of the tensor itself: bfloat16 is no type that the file or numpy knows.
        count = self._file.readinto(_bytes(old))
        assert count == old.nbytes
        return old


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.flatten().view(torch.uint8).numpy().data
