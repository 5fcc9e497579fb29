"""Bottleneck adapter after each FFN of a transformer, or after each block of a CNN

Houlsby et al. (arXiv 1902.00751), one adapter per block after the FFN as in Pfeiffer et al. (arXiv 2005.00247); on a
CNN two 1x1 convolutions with a GELU between them after each block (RepAdapter's place, arXiv 2302.08106). The head
trains too.
"""

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from sparsebench.models.adapters import AdapterConfig

from ._adapters import AdapterMethod, prunable


@dataclass(frozen=True, kw_only=True)
class Adapter(AdapterMethod):
    """A dense adapter of `rank` hidden units in each of the last blocks."""

    rank: int = 8
    """Hidden units of each adapter."""
    init: Literal["normal", "zero_up"] = "normal"
    """Both matrices N(0, 0.02²), as SparseAdapter has it and SNIP needs it; or the last one 0: no change at first."""

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """One bottleneck per block: 1x1 convolutions in a CNN, else linear."""
        return prunable("bottleneck", backbone, rank=self.rank, init=self.init, **common)
