"""LayerNorm tuning: train scales and shifts of all norms

The layer-norm baseline of Houlsby et al. (arXiv 1902.00751, section 3.4). The head trains too.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from sparsebench.models.adapters import AdapterConfig, NormTuningConfig

from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class LayerNormTuning(AdapterMethod):
    """Copies of all weights and biases of norms train."""

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The copies."""
        return NormTuningConfig(**common)
