"""SparseAdapter: adapters pruned before training

He et al. (arXiv 2210.04284), section 3: prune at initialisation, then train with the mask fixed. The default is
Large-Sparse: `factor` times as wide at density 1 / `factor`. Its non-zero weights are as many as those of a dense
adapter of `base_rank`, which is checked; its biases, never pruned, are more by (factor - 1) * base_rank for each
adapter. `sparsity` is the fraction removed, where the flag of the released code means the fraction kept.
"""

import copy
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sparsebench.models.adapters import AdapterSet, LargeSparse, adapter_sets, remove_dead_units, sparsify
from sparsebench.models.adapters.pruning.sparsify import RANDOM
from sparsebench.models.sparsity.scoring import criterion

from ...contracts.context import Context
from ...contracts.traits import ATTENTION
from ._adapters import Kind, prunable
from ._parameter_efficient import ParameterEfficientMethod

CONTROLS = ({"criterion": "random"}, {"shuffle": True})
"""Configurations that are controls, read by the report."""


@dataclass(frozen=True, kw_only=True)
class SparseAdapter(ParameterEfficientMethod):
    """`criterion: random` is the equal-budget control of the data-driven criteria, `shuffle` that of where they prune.

    Both projections start as N(0, 0.02²) (`init`), without which most scores are 0.
    """

    adapter: Kind = "bottleneck"
    """What is pruned."""
    base_rank: int = 8
    """Hidden units of the dense adapter whose number of weights is the budget."""
    factor: int = 2
    """How many times as wide the pruned adapter is."""
    criterion: Literal["snip", "grasp", "synflow", "magnitude", "random", "er"] | str = "snip"
    """What decides which weights stay; a criterion of another package, too."""
    sparsity: float | None = None
    """Share of the weights to remove; None removes 1 - 1 / factor, which meets the budget."""
    scope: Literal["global", "local"] = "global"
    """One ranking of all weights, or one for each matrix."""
    granularity: Literal["weight", "unit"] = "weight"
    """Single weights, or whole hidden units: then the adapter becomes narrower and faster."""
    shuffle: bool = False
    """Keep only how many weights each matrix has, and draw which."""
    init: Literal["normal", "zero_up"] = "normal"
    """Both matrices N(0, 0.02²), as SparseAdapter has it and SNIP needs it; or the last one 0: no change at first."""

    def __post_init__(self) -> None:
        if self.base_rank < 1 or self.factor < 1:
            raise ValueError(f"base_rank={self.base_rank} and factor={self.factor} must be 1 or more")
        if self.sparsity is None and self.factor == 1:
            raise ValueError("factor=1 prunes nothing: give `sparsity`, the fraction of the weights to remove")
        if self.sparsity is not None and not 0 <= self.sparsity <= 1:
            raise ValueError(f"sparsity={self.sparsity} is the fraction of the weights to remove: from 0 to 1")
        if self.criterion not in RANDOM:
            criterion(self.criterion)

    @property
    def needs(self) -> frozenset[str]:
        """What each kind needs: only the bottleneck has a place in a backbone without attention."""
        if self.adapter == "bottleneck":
            return super().needs
        return super().needs | {ATTENTION}

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with pruned adapters."""
        wide = LargeSparse(base_r=self.base_rank, factor=self.factor)
        met = self.sparsity is None and self.granularity == "weight"
        dense = self._attach(copy.deepcopy(backbone), self.base_rank, context) if met else None
        adapters = self._attach(backbone, wide.r, context)
        sparsify(
            adapters,
            method=self.criterion,
            sparsity=wide.sparsity if self.sparsity is None else self.sparsity,
            batches=context.batches(),
            loss_fn=context.loss,
            scope=self.scope,
            shuffle_within_layer=self.shuffle,
            granularity=self.granularity,
            generator=context.generator("pruning"),
        )
        if dense is not None:
            wide.verify(dense, adapters)
        return backbone

    def deploy(self, model: nn.Module) -> nn.Module:
        """The model without hidden units that lost all their input or all their output weights."""
        for adapters in adapter_sets(model).values():
            remove_dead_units(adapters)
        return model

    def _attach(self, backbone: nn.Module, rank: int, context: Context) -> AdapterSet:
        config = prunable(self.adapter, backbone, rank=rank, init=self.init, **self.common(context))
        return self.put(backbone, config)
