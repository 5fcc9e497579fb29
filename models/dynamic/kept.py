"""What is made of tensors, and kept until one of them changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

Made = TypeVar("Made")


class Kept(Generic[Made]):
    """The last thing that was made of some tensors.

    A tensor has changed when it has other memory or torch has counted a change in place, as it does for optimizers,
    `load_state_dict` and all that is done to the tensor itself, but not for what is written through its `.data`. Of
    tensors of inference mode, which count nothing, nothing is kept. Copies and pickles start with nothing.
    """

    def __init__(self) -> None:
        self._last: tuple[list[Hashable], tuple[Tensor, ...], Made] | None = None

    def of(self, make: Callable[[], Made], *sources: Tensor, also: Hashable = None) -> Made:
        """make(), or what it gave when it was last called for the same sources and the same `also`."""
        key: list[Hashable] = [also]
        for source in sources:
            if source.is_inference():
                return make()
            key += (source._version, source.data_ptr())
        last = self._last
        if last is not None and last[0] == key:
            return last[2]
        # What is made in inference mode could not be used in a backward pass later.
        with torch.inference_mode(False), torch.no_grad():
            made = make()
        # Their memory is held, so that no other tensor can come to lie there.
        self._last = (key, tuple(source.detach() for source in sources), made)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing of it."""
        return (type(self), ())
