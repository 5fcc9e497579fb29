"""What pruning chooses among: single entries of weights, or whole bottleneck units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from .bottleneck_units import Pair, keep_units, pair_of, unit_sums
from .masked import Masked


class Candidates(Protocol):
    """Parts (layers or pairs) of some candidates each."""

    sizes: list[int]
    """Candidates of each part before any pruning."""
    left: list[int]
    """Those that are still there."""

    def scores(self, layers: list[Tensor]) -> list[Tensor]:
        """(left,) scores per part, from those of the stored entries of each layer."""
        ...

    def entries(self, keep: list[Tensor]) -> list[Tensor]:
        """Which stored entries of each layer stay, from the candidates that stay."""
        ...

    def apply(self, keep: list[Tensor]) -> None:
        """Remove the other candidates."""
        ...


class Entries:
    """Every stored entry of every layer."""

    def __init__(self, layers: Sequence[Masked]) -> None:
        self.layers = layers
        self.sizes = [layer.shape.numel() for layer in layers]
        self.left = [layer.stored.numel() for layer in layers]

    def scores(self, layers: list[Tensor]) -> list[Tensor]:
        """The scores as they are."""
        return [score.flatten() for score in layers]

    def entries(self, keep: list[Tensor]) -> list[Tensor]:
        """The choice as it is."""
        return keep

    def apply(self, keep: list[Tensor]) -> None:
        """Prune the layers."""
        for layer, kept in zip(self.layers, keep, strict=True):
            layer.prune(layer.spread(kept.to(layer.stored.device)))


class Units:
    """Every unit of every pair that has weights; its score is the sum of those of its input and output weights."""

    def __init__(self, layers: Sequence[Masked], pairs: Sequence[Pair]) -> None:
        self.pairs = [pair for pair in pairs if pair.down.stored.numel() + pair.up.stored.numel()]
        self.layers, self.places = layers, [pair_of(layer, pairs) for layer in layers]
        self.sizes = self.left = [pair.units for pair in self.pairs]

    def scores(self, layers: list[Tensor]) -> list[Tensor]:
        """Sums per unit, in float64."""
        sums = {id(pair): torch.zeros(pair.units, dtype=torch.float64) for pair in self.pairs}
        for layer, (pair, dim), score in zip(self.layers, self.places, layers, strict=True):
            if id(pair) in sums:
                dense = layer.spread(score.to(layer.stored.device))
                sums[id(pair)] += unit_sums(dense.double(), dim).cpu()
        return [sums[id(pair)] for pair in self.pairs]

    def entries(self, keep: list[Tensor]) -> list[Tensor]:
        """The weights of the units that stay."""
        kept = {id(pair): part for pair, part in zip(self.pairs, keep, strict=True)}
        masks = []
        for layer, (pair, dim) in zip(self.layers, self.places, strict=True):
            shape = [-1 if d == dim else 1 for d in range(len(layer.shape))]
            part = kept.get(id(pair), torch.ones(pair.units, dtype=torch.bool))
            masks.append(part.view(shape).expand(layer.shape)[layer.mask.cpu()])
        return masks

    def apply(self, keep: list[Tensor]) -> None:
        """Make the layers narrower."""
        for pair, kept in zip(self.pairs, keep, strict=True):
            keep_units(pair, kept)
