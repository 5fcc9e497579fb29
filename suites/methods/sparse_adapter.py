"""SparseAdapter: a wider adapter, pruned before training to the weights of a narrow one

He et al. (arXiv 2210.04284), section 3: prune at initialisation, then train with the mask fixed. The default is
Large-Sparse: `factor` times as wide at density 1 / `factor`. Its non-zero weights are as many as those of a dense
adapter of `base_rank`, which is checked; its biases, never pruned, are more by (factor - 1) * base_rank a block.
"""

import copy
from dataclasses import dataclass
from typing import Literal

from torch import nn

from sparsebench.models.adapters import AdapterSet, attach
from sparsebench.models.adapters.large_sparse import LargeSparse
from sparsebench.models.adapters.pruning import sparsify

from ..context import Context
from ..parameter_efficient import ParameterEfficientMethod


@dataclass(frozen=True, kw_only=True)
class SparseAdapter(ParameterEfficientMethod):
    """`criterion: random` is the equal-budget control of the data-driven criteria."""

    base_rank: int = 8
    """Hidden units of the dense adapter whose number of weights is the budget."""
    factor: int = 2
    """How many times as wide the pruned adapter is."""
    criterion: Literal["snip", "magnitude", "random"] = "snip"
    """What decides which weights stay."""
    sparsity: float | None = None
    """Share of the weights to remove; None removes 1 - 1 / factor, which meets the budget."""

    def __post_init__(self) -> None:
        if self.base_rank < 1 or self.factor < 1:
            raise ValueError(f"base_rank={self.base_rank} and factor={self.factor} must be 1 or more")
        if self.sparsity is None and self.factor == 1:
            raise ValueError("factor=1 prunes nothing: give `sparsity`, the share of the weights to remove")
        if self.sparsity is not None and not 0 <= self.sparsity <= 1:
            raise ValueError(f"sparsity={self.sparsity} is the share of the weights to remove: from 0 to 1")

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with pruned adapters."""
        wide = LargeSparse(base_r=self.base_rank, factor=self.factor)
        dense = self._dense(backbone, context) if self.sparsity is None else None
        adapters = attach(backbone, self.bottleneck(backbone, wide.r, context))
        sparsify(
            adapters,
            method=self.criterion,
            sparsity=wide.sparsity if self.sparsity is None else self.sparsity,
            batches=context.batches(),
            loss_fn=context.loss,
            generator=context.generator("pruning"),
        )
        if dense is not None:
            wide.verify(dense, adapters)
        return backbone

    def _dense(self, backbone: nn.Module, context: Context) -> AdapterSet:
        """The dense adapters that set the budget, on a copy of the backbone."""
        return attach(copy.deepcopy(backbone), self.bottleneck(backbone, self.base_rank, context))
