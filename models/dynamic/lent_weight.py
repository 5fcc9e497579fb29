"""The used weight of one sample, in memory in which its static part stays from pass to pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Shapes: S the weight, T the taps of a kernel (the last numbers of S), D dynamic units of it.


class LentWeight:
    """Weights (*S) that are lent to one pass at a time, so that threads never share one.

    `dynamic` (D,): where the dynamic units lie along dimension `dim` of a weight, or, where they are single entries, of
    the flattened one. `base`: makes one more weight, with the static part in its place. Who takes a weight gives it
    back when no operation needs it any more.
    """

    def __init__(self, base: Callable[[], Tensor], dim: int, dynamic: Tensor) -> None:
        self._base = base
        self._dim = dim
        self._dynamic = dynamic
        self._idle: list[Tensor] = []
        self._taps: Tensor | None = None

    def take(self, part: Tensor, taps_1T: Tensor | None = None) -> Tensor:
        """(*S) the weight with this dynamic part (D, ...), times `taps_1T` if there are such factors."""
        if taps_1T is not None:
            part = self._times(part, taps_1T)
        try:
            weight = self._idle.pop()
        except IndexError:
            with torch.inference_mode(False), torch.no_grad():
                weight = self._base()
        seen = weight if part.dim() == weight.dim() else weight.view(-1)
        seen.index_copy_(self._dim, self._dynamic, part)
        return weight

    def give_back(self, weight: Tensor) -> None:
        """Its memory is written again by a later pass."""
        self._idle.append(weight)

    def _times(self, part: Tensor, taps_1T: Tensor) -> Tensor:
        count = taps_1T.shape[1]
        if part.dim() > 1:
            return (part.reshape(-1, count) * taps_1T).view(part.shape)
        if self._taps is None:  # of single entries, which tap each is
            with torch.inference_mode(False):
                self._taps = self._dynamic % count
        return part * taps_1T[0].index_select(0, self._taps)
