"""BitFit: train the biases

Ben Zaken et al. (arXiv 2106.10199). The head trains too.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from sparsebench.models.adapters import AdapterConfig, BitFitConfig

from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class BitFit(AdapterMethod):
    """Copies of all biases of the backbone train."""

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The copies."""
        return BitFitConfig(**common)
