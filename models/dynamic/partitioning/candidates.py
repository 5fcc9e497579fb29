"""What a partition chooses among: single entries of weights, output rows, input channels, factors of attentions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ..partially_dynamic import PartiallyDynamic

# Shapes: E entries of a weight, C candidates of a part: the kernels of a layer, or an attention vector.

Granularity = Literal["weight", "row", "channel"]

COUNTED = {"row": 0, "channel": 1}
"""The dimension of a weight that counts the candidates which change their mode together."""


class OpenMask:
    """The mask of one part as numbers with a gradient, in the form in which `sparsity.selection` tries choices out.

    `stored` (of the weight's shape) stands in the place of the mask while scores are taken: 1 is dynamic, 0 static. The
    derivative of the loss by an entry is the first-order change of the loss if that entry changed its mode.
    """

    def __init__(self, stored: Tensor) -> None:
        self.stored = cast("nn.Parameter", stored)  # a leaf with a gradient, which is what criteria ask for


@contextmanager
def open_masks(parts: Sequence[PartiallyDynamic]) -> Iterator[list[OpenMask]]:
    """Let every part compute with an `OpenMask` in the place of its mask; afterwards with its mask as before."""
    with ExitStack() as stack:
        masks: list[OpenMask] = []
        for part in parts:
            assert part.partition is not None
            masks.append(OpenMask(stack.enter_context(part.partition.relaxed())))
        yield masks


class ModeCandidates:
    """The candidates of every part; the effect of a row or channel is the sum of the effects of its entries.

    A factor of an attention, an entry of a vector, is a candidate by itself whatever the granularity.

    `finish` turns effects into scores. It is applied to the sums, so that a row whose entries would change the loss in
    opposite directions counts with what remains: all of them change their mode together.
    """

    def __init__(
        self, shapes: Sequence[torch.Size], granularity: Granularity, finish: Callable[[Tensor], Tensor]
    ) -> None:
        self.shapes = shapes
        self.dims = [_counted(shape, granularity) for shape in shapes]
        self.finish = finish
        self.sizes: list[int] = []
        for shape, dim in zip(shapes, self.dims, strict=True):
            self.sizes.append(shape.numel() if dim is None else shape[dim])
        self.left = self.sizes

    def scores(self, entry_scores: Sequence[Tensor]) -> list[Tensor]:
        """(C,) scores per part, from the effects of the entries, in float64."""
        pairs = zip(entry_scores, self.dims, strict=True)
        return [self.finish(_summed(effects.double(), dim)) for effects, dim in pairs]

    def kept_entries(self, keep: Sequence[Tensor]) -> list[Tensor]:
        """(E,) boolean per part: the entries that stay dynamic when the candidates `keep` (C,) do."""
        return [mask.flatten() for mask in self.masks(keep)]

    def masks(self, keep: Sequence[Tensor]) -> list[Tensor]:
        """The same as masks of the weights' shapes."""
        parts = zip(keep, self.shapes, self.dims, strict=True)
        return [_spread(keep_C, shape, dim) for keep_C, shape, dim in parts]


def _counted(shape: torch.Size, granularity: Granularity) -> int | None:
    """The dimension that counts the candidates; None where every entry is one."""
    if len(shape) == 1:
        return None
    return COUNTED.get(granularity)


def _summed(effects: Tensor, dim: int | None) -> Tensor:
    if dim is None:
        return effects.flatten()
    return effects.movedim(dim, 0).flatten(1).sum(1)


def _spread(keep_C: Tensor, shape: torch.Size, dim: int | None) -> Tensor:
    if dim is None:
        return keep_C.view(shape)
    along = [1] * len(shape)
    along[dim] = shape[dim]
    return keep_C.view(along).expand(shape).contiguous()
