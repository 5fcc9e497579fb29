"""Pruning of adapters at initialisation: SparseAdapter (He et al., arXiv 2210.04284)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..errors import ModelError, check_choice
from .sets import AdapterSet
from .config import RankConfig
from .criteria import CRITERIA, Evidence, LossFunction
from .masked import Masked

Config = TypeVar("Config", bound=RankConfig)


@dataclass(frozen=True, kw_only=True)
class LayerDensity:
    """How many of the weights of one layer stay."""

    name: str
    total: int
    kept: int

    @property
    def density(self) -> float:
        """Fraction kept."""
        return self.kept / self.total


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `sparsify` did. `ties`: weights at the border whose score is the same, so that their position decided."""

    method: str
    sparsity: float
    total: int
    kept: int
    ties: int
    layers: tuple[LayerDensity, ...]


def sparsify(
    adapters: AdapterSet,
    *,
    method: str = "snip",
    sparsity: float,
    batches: Iterable[Any] | None = None,
    loss_fn: LossFunction | None = None,
    generator: torch.Generator | None = None,
) -> Report:
    """Remove the fraction `sparsity` of all adapter weights, those of lowest score over all layers together.

    Exactly round((1 - sparsity) N) of the N weights stay; equal scores are ranked by position. Biases and the head are
    not pruned. What was removed before stays removed. (`--sparsity` of the released code is the fraction kept.)

    Raises `ModelError` when a score is not finite or all are equal. With init="zero_up", up = 0 makes every SNIP score
    0: attach with init="normal", or train some steps first, so that both factors are non-zero.
    """
    check_choice("method", method, tuple(CRITERIA))
    if not 0 <= sparsity <= 1:
        raise ModelError(f"sparsity={sparsity} is the fraction removed and must lie between 0 and 1")
    layers = list(adapters.prunable().values())
    total = sum(layer.weight.numel() for layer in layers)
    keep, left = round((1 - sparsity) * total), total - sum(layer.masked_out() for layer in layers)
    if keep > left:
        raise ModelError(f"sparsity={sparsity} keeps {keep} weights, but earlier pruning left only {left}")
    masks, ties = [torch.zeros_like(layer.weight, dtype=torch.bool) for layer in layers], 0
    if keep == left:
        masks = [layer.mask if layer.mask is not None else ~mask for layer, mask in zip(layers, masks, strict=True)]
    elif keep > 0:
        evidence = Evidence(model=adapters.model, batches=batches, loss_fn=loss_fn, generator=generator)
        masks, ties = _keep_best(layers, _in_one_row(layers, CRITERIA[method](layers, evidence), method), keep)
    for layer, mask in zip(layers, masks, strict=True):
        layer.prune(mask)
    densities = tuple(
        LayerDensity(name=name, total=layer.weight.numel(), kept=layer.weight.numel() - layer.masked_out())
        for name, layer in adapters.prunable().items()
    )
    return Report(method=method, sparsity=sparsity, total=total, kept=keep, ties=ties, layers=densities)


@dataclass(frozen=True, kw_only=True)
class LargeSparse:
    """An adapter `factor` times as wide at density 1/factor: as many non-zero weights as the dense one of `base_r`."""

    base_r: int
    factor: int

    @property
    def r(self) -> int:
        """Width of the large adapter."""
        return self.base_r * self.factor

    @property
    def sparsity(self) -> float:
        """Fraction of its weights to remove."""
        return 1 - 1 / self.factor

    def widen(self, config: Config) -> Config:
        """The configuration of the large adapter."""
        return dataclasses.replace(config, r=self.r)

    def verify(self, dense: AdapterSet, sparse: AdapterSet) -> int:
        """The common number of non-zero weights, without biases; a `ModelError` if the two sets differ in it."""
        counts = [
            sum(layer.weight.numel() - layer.masked_out() for layer in adapters.prunable().values())
            for adapters in (dense, sparse)
        ]
        if counts[0] != counts[1]:
            raise ModelError(
                f"unequal budgets: {counts[0]} weights in the dense adapters, {counts[1]} in the sparse ones"
            )
        return counts[0]


def _in_one_row(layers: list[Masked], scores: list[Tensor], method: str) -> Tensor:
    """All scores one after another in float64; what was removed before ranks below everything."""
    row = torch.cat([score.flatten().double().cpu() for score in scores])
    gone = torch.cat([_gone(layer).flatten().cpu() for layer in layers])
    bad = int((~row.isfinite()).sum())
    if bad:
        raise ModelError(f"{bad} of {len(row)} scores of method={method!r} are NaN or infinite: nothing was pruned")
    if row[~gone].min() == row[~gone].max():
        raise ModelError(
            f"all scores of method={method!r} equal {row[~gone][0]:g}: nothing was pruned. With init='zero_up' one "
            "factor is 0 and so is every score: attach with init='normal', or train a few steps first"
        )
    return row.masked_fill(gone, -torch.inf)


def _gone(layer: Masked) -> Tensor:
    return torch.zeros_like(layer.weight, dtype=torch.bool) if layer.mask is None else ~layer.mask


def _keep_best(layers: list[Masked], row: Tensor, keep: int) -> tuple[list[Tensor], int]:
    """Masks of the `keep` best scores, ranked by score, then position; and how many entries tie at the border."""
    order = row.argsort(descending=True, stable=True)
    mask = torch.zeros(len(row), dtype=torch.bool)
    mask[order[:keep]] = True
    last, first_out = row[order[keep - 1]], row[order[keep]]
    pieces = mask.split([layer.weight.numel() for layer in layers])
    masks = [piece.view(layer.weight.shape) for piece, layer in zip(pieces, layers, strict=True)]
    return masks, int((row == last).sum()) if last == first_out else 0
