"""Large-Sparse: wider adapters pruned to the weights of narrow ones (He et al., arXiv 2210.04284, section 3)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

from ...errors import ModelError, check_whole
from ..adapter_set import AdapterSet
from ..config import RankConfig

Config = TypeVar("Config", bound=RankConfig)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Non-zero weights that both sets have, and what each has in addition: biases and norms, which are never pruned."""

    weights: int
    dense_others: int
    sparse_others: int


@dataclass(frozen=True, kw_only=True)
class LargeSparse:
    """An adapter `factor` times as wide at density 1/factor: as many non-zero weights as the dense one.

    Attributes:
        base_r: width of the dense adapter.
        factor: how many times as wide the large one is.
    """

    base_r: int
    factor: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_whole(name, value)

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

    def verify(self, dense: AdapterSet, sparse: AdapterSet) -> Budget:
        """The equal budget of two sets.

        Args:
            dense: the set of width `base_r`, not pruned.
            sparse: the pruned set of the widened configuration.

        Raises:
            ModelError: their numbers of non-zero weights differ.
        """
        weights = _count_weights(dense)
        found = _count_weights(sparse)
        if weights != found:
            raise ModelError(f"unequal budgets: {weights} weights in the dense adapters, {found} in the sparse ones")
        return Budget(weights=weights, dense_others=dense.count() - weights, sparse_others=sparse.count() - weights)


def _count_weights(adapters: AdapterSet) -> int:
    return sum(weight.numel() for weight in adapters.weights().values())
