"""What a partition chooses among: single entries of weights, output rows, or input channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ..layer import DynamicLayer

# Shapes: E entries of a weight, C candidates of a layer.

Granularity = Literal["weight", "row", "channel"]

COUNTED = {"row": 0, "channel": 1}
"""The dimension of a weight that counts the candidates which change their mode together."""


class OpenMask:
    """The mask of one layer as numbers with a gradient, in the form in which `sparsity.selection` tries choices out.

    `stored` (of the weight's shape) stands in the place of the mask while scores are taken: 1 is dynamic, 0 static. The
    derivative of the loss by an entry is the first-order change of the loss if that entry changed its mode.
    """

    def __init__(self, stored: Tensor) -> None:
        self.stored = cast("nn.Parameter", stored)  # a leaf with a gradient, which is what criteria ask for


@contextmanager
def open_masks(layers: Sequence[DynamicLayer]) -> Iterator[list[OpenMask]]:
    """Let every layer compute with an `OpenMask` in the place of its mask; afterwards with its mask as before."""
    with ExitStack() as stack:
        masks: list[OpenMask] = []
        for layer in layers:
            assert layer.partition is not None
            masks.append(OpenMask(stack.enter_context(layer.partition.relaxed())))
        yield masks


class ModeCandidates:
    """The candidates of every layer; the effect of a row or channel is the sum of the effects of its entries.

    `finish` turns effects into scores. It is applied to the sums, so that a row whose entries would change the loss in
    opposite directions counts with what remains: all of them change their mode together.
    """

    def __init__(
        self, shapes: Sequence[torch.Size], granularity: Granularity, finish: Callable[[Tensor], Tensor]
    ) -> None:
        self.shapes = shapes
        self.dim = COUNTED.get(granularity)
        self.finish = finish
        self.sizes = [shape.numel() if self.dim is None else shape[self.dim] for shape in shapes]
        self.left = self.sizes

    def scores(self, entry_scores: Sequence[Tensor]) -> list[Tensor]:
        """(C,) scores per layer, from the effects of the entries, in float64."""
        return [self.finish(self._summed(effects.double())) for effects in entry_scores]

    def kept_entries(self, keep: Sequence[Tensor]) -> list[Tensor]:
        """(E,) boolean per layer: the entries that stay dynamic when the candidates `keep` (C,) do."""
        return [self._spread(keep_C, shape).flatten() for keep_C, shape in zip(keep, self.shapes, strict=True)]

    def masks(self, keep: Sequence[Tensor]) -> list[Tensor]:
        """The same as masks of the weights' shapes."""
        return [self._spread(keep_C, shape) for keep_C, shape in zip(keep, self.shapes, strict=True)]

    def _summed(self, effects: Tensor) -> Tensor:
        if self.dim is None:
            return effects.flatten()
        return effects.movedim(self.dim, 0).flatten(1).sum(1)

    def _spread(self, keep_C: Tensor, shape: torch.Size) -> Tensor:
        if self.dim is None:
            return keep_C.view(shape)
        along = [1] * len(shape)
        along[self.dim] = shape[self.dim]
        return keep_C.view(along).expand(shape).contiguous()
