"""What pruning chooses among, its candidates: single entries of weights, or whole bottleneck units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from .bottleneck_units import Pair, keep_units, pair_of, unit_sums
from .masked import Masked

# Shapes: E stored entries of a weight, C candidates of a part that are left, R units of a bottleneck.


class Granularity(Protocol):
    """Parts (layers or pairs) of some candidates each."""

    sizes: list[int]
    """Candidates of each part before any pruning."""
    left: list[int]
    """Those that are still there."""

    def scores(self, entry_scores: Sequence[Tensor]) -> list[Tensor]:
        """(C,) scores per part, from those of the stored entries of each layer."""
        ...

    def kept_entries(self, keep: Sequence[Tensor]) -> list[Tensor]:
        """(E,) boolean per layer: the stored entries that stay when of each part the candidates `keep` (C,) stay."""
        ...

    def apply(self, keep: Sequence[Tensor]) -> None:
        """Remove the other candidates."""
        ...


class SingleWeights:
    """Every stored entry of every layer is a candidate, every layer a part."""

    def __init__(self, layers: Sequence[Masked]) -> None:
        self.layers = layers
        self.sizes = [layer.shape.numel() for layer in layers]
        self.left = [layer.stored.numel() for layer in layers]

    def scores(self, entry_scores: Sequence[Tensor]) -> list[Tensor]:
        """The scores as they are."""
        return [score.flatten() for score in entry_scores]

    def kept_entries(self, keep: Sequence[Tensor]) -> list[Tensor]:
        """The choice as it is."""
        return list(keep)

    def apply(self, keep: Sequence[Tensor]) -> None:
        """Prune the layers."""
        for layer, keep_E in zip(self.layers, keep, strict=True):
            layer.prune(layer.spread(keep_E.to(layer.stored.device)))


class BottleneckUnits:
    """Every unit of every pair that has weights; its score is the sum of those of its input and output weights."""

    def __init__(self, layers: Sequence[Masked], pairs: Sequence[Pair]) -> None:
        self.layers = layers
        self.pairs_of_layers = [pair_of(layer, pairs) for layer in layers]
        self.pairs = [pair for pair in pairs if pair.down.stored.numel() + pair.up.stored.numel() > 0]
        self.sizes = [pair.units for pair in self.pairs]
        self.left = self.sizes

    def scores(self, entry_scores: Sequence[Tensor]) -> list[Tensor]:
        """Sums per unit, in float64."""
        sums = {pair: torch.zeros(pair.units, dtype=torch.float64) for pair in self.pairs}
        for layer, (pair, unit_dim), score_E in zip(self.layers, self.pairs_of_layers, entry_scores, strict=True):
            if pair in sums:
                dense = layer.spread(score_E.to(layer.stored.device))
                sums[pair] += unit_sums(dense.double(), unit_dim).cpu()
        return [sums[pair] for pair in self.pairs]

    def kept_entries(self, keep: Sequence[Tensor]) -> list[Tensor]:
        """The weights of the units that stay: a row of `down` or a column of `up` stays or goes as a whole."""
        kept_units = dict(zip(self.pairs, keep, strict=True))
        kept_entries: list[Tensor] = []
        for layer, (pair, unit_dim) in zip(self.layers, self.pairs_of_layers, strict=True):
            # A pair without weights is no candidate and has no entries: any value gives the same empty row.
            keep_R = kept_units.get(pair, torch.ones(pair.units, dtype=torch.bool))
            along_units = [1] * len(layer.shape)
            along_units[unit_dim] = pair.units
            dense = keep_R.view(along_units).expand(layer.shape)
            kept_entries.append(dense[layer.mask.cpu()])
        return kept_entries

    def apply(self, keep: Sequence[Tensor]) -> None:
        """Make the layers narrower."""
        for pair, keep_R in zip(self.pairs, keep, strict=True):
            keep_units(pair, keep_R)
