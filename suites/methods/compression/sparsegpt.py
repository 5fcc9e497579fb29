"""SparseGPT on experts: weights go column by column, and the others make up for them

Frantar & Alistarh (arXiv 2301.00774); on experts as in the unified compression of mixtures (He et al., arXiv
2406.02500), with the inputs that each expert was given.
"""

from dataclasses import dataclass

from sparsebench.models.compression.slimming.pruning import PruningConfig

from ...contracts.method import Later
from ._pruning import PruningMethod


@dataclass(frozen=True, kw_only=True)
class SparseGPT(PruningMethod):
    """The second moments of the inputs decide what goes, and how the weights that stay move."""

    block_size: int = 128
    """Columns that are decided on together."""
    damping: float = 0.01
    """Share of the mean of the diagonal of the moments that is added to the diagonal."""
    router_weighted: bool = False
    """Weigh each token by what the router multiplies the expert with (experts only)."""
    min_tokens: int = 1
    """Matrices that fewer tokens reach are pruned by magnitude, with a warning that names them."""
    sequential: Later[bool] = True
    """The inputs of a layer are those that the pruned layers before it give, as in the paper; else those of the model
    as it was, as in the released code of the unified compression."""

    def pruning(self) -> PruningConfig:
        """The settings."""
        return self._settings(
            "sparsegpt",
            block_size=self.block_size,
            damping=self.damping,
            router_weighted=self.router_weighted,
            min_tokens=self.min_tokens,
            sequential=self.sequential,
        )
