"""Magnitude pruning of experts: the smallest weights of each matrix go

Han et al. (arXiv 1506.02626), without training afterwards unless the row says so. Needs no data: what Wanda and
SparseGPT are measured against.
"""

from dataclasses import dataclass

from sparsebench.models.compression.slimming.pruning import PruningConfig

from ._pruning import PruningMethod

ROLE = "control"
"""What a row of this method alone is there for, read by the report."""


@dataclass(frozen=True, kw_only=True)
class MagnitudePruning(PruningMethod):
    """|w| decides."""

    def pruning(self) -> PruningConfig:
        """The settings."""
        return self._settings("magnitude")
